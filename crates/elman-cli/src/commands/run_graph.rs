//! `elman run`: a network on arrays, over whole sequences or step by step.

use elman_graph::npy;

use super::graphs::{Inputs, Named, arrays, open};
use crate::args::RunGraph;
use crate::exit_code::{Failure, Outcome};

pub(crate) fn run(args: &RunGraph) -> Outcome {
    let graph = open(&args.model, &args.foreign)?;
    let inputs = Inputs::new(&graph, &arrays(&args.input)?)?;
    let outputs = if args.steps { inputs.run_steps(&graph) } else { inputs.run(&graph) };
    let outputs = outputs.map_err(|failure| match failure {
        Failure::Graph(error @ elman_graph::Error::Input { .. }) => Failure::Graph(error),
        Failure::Graph(error) => Failure::Graph(error.at(&args.model)),
        other => other,
    })?;
    // Names first, so that nothing is written where one is wrong.
    let mut written = Vec::new();
    let mut next = 0;
    for text in &args.out {
        let Named { name, file } = Named::parse(text);
        let output = match &name {
            Some(name) => outputs.iter().find(|(other, _)| other == name),
            None => outputs.get(next).inspect(|_| next += 1),
        };
        let Some((_, tensor)) = output else {
            let names: Vec<&str> = outputs.iter().map(|(name, _)| name.as_str()).collect();
            let part = format!("output {}", name.unwrap_or_else(|| (next + 1).to_string()));
            let reason = format!("the network has the outputs {}", names.join(", "));
            return Err(Failure::Graph(elman_graph::Error::Refused { part, reason }));
        };
        written.push((file, tensor));
    }
    for (file, tensor) in written {
        npy::write(&file, tensor)?;
    }
    Ok(0)
}
