//! A network that writes, ready to run.

use std::fmt;

use super::network::Network;
use crate::param::Params;

/// A network with its weights as the kernels want them.
pub(in crate::task) struct Member<N: Network> {
    pub(in crate::task) network: N,
    pub(super) prepared: N::Prepared,
}

impl<N: Network> Member<N> {
    pub(super) fn new(network: N, params: &Params<f32>) -> Self {
        let mut prepared = N::Prepared::default();
        network.prepare(params, &mut prepared);
        Member { network, prepared }
    }
}

impl<N: Network> fmt::Debug for Member<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.network.fmt(f)
    }
}
