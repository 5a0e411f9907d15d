//! Numbers that are not finite: noticed at once, gone back from, never written down.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use elman::Error;
use elman::cell::{CellKind, Steps};
use elman::error::Result;
use elman::format::model;
use elman::layer::StackState;
use elman::param::{Init, Params};
use elman::rng::Rng;
use elman::settings::Settings;
use elman::shape::{InputKind, Inputs, Synced, SyncedBatch, SyncedConfig};
use elman::train::{Batches, Cursor, Ending, Engine, Event, Every, RunFolder, Scores, TrainConfig, Trainer};
use serde_json::{Value, json};

const SEQUENCES: usize = 4;
const LEN: usize = 6;
const WIDTH: usize = 3;

/// Says at each step whether the first of three numbers is positive; from batch `broken_from` on, one of them is infinite.
struct Signs {
    read: u64,
    broken_from: u64,
    /// What validation answers.
    score: f64,
}

impl Cursor for Signs {
    fn epochs(&self) -> f64 {
        self.read as f64 / self.batches_per_epoch()
    }

    fn batches_per_epoch(&self) -> f64 {
        10.0
    }

    fn position(&self) -> Value {
        json!(self.read)
    }

    fn seek(&mut self, position: &Value) -> Result<()> {
        self.read = position.as_u64().ok_or_else(|| Error::Usage("no position".into()))?;
        Ok(())
    }
}

impl Batches<Synced> for Signs {
    fn initial_states(&self) -> Vec<StackState<f32>> {
        vec![network().zero_state(SEQUENCES)]
    }

    fn next_batch(
        &mut self,
        index: u64,
        batches: &mut Vec<SyncedBatch<f32>>,
        states: &mut dyn Iterator<Item = &mut StackState<f32>>,
    ) {
        let mut rng = Rng::for_step(1, "signs", index, 0);
        let mut x: Vec<f32> = (0..SEQUENCES * LEN * WIDTH).map(|_| rng.normal() as f32).collect();
        let targets = x.chunks_exact(WIDTH).map(|x| u32::from(x[0] > 0.0)).collect();
        if index >= self.broken_from {
            x[4] = f32::INFINITY;
        }
        let steps = Steps::equal(LEN, SEQUENCES);
        *batches = vec![SyncedBatch { steps, inputs: Inputs::Dense(x), targets }];
        states.for_each(|state| (0..SEQUENCES).for_each(|row| state.zero_sequence(row, SEQUENCES)));
        self.read = index + 1;
    }

    fn cursor(&self) -> &dyn Cursor {
        self
    }

    fn cursor_mut(&mut self) -> &mut dyn Cursor {
        self
    }

    fn fingerprint(&self) -> Value {
        json!("signs")
    }

    fn validate(&mut self, _: &Synced, _: &Params<f32>, _: &Engine<f32, Synced>) -> Result<Scores> {
        Ok(Scores { values: vec![("val_nats".into(), self.score)], higher_is_better: false })
    }

    fn model_config(&self, network: &Synced) -> Value {
        json!({"task": "signs", "shape": "synced", "network": network.config()})
    }
}

fn network() -> Synced {
    let config = SyncedConfig::language_model(CellKind::Lstm, 5, 2);
    Synced::new(SyncedConfig { feed: InputKind::Dense(WIDTH), ..config }).unwrap()
}

fn config() -> TrainConfig {
    let mut config = Settings::preset("default").unwrap().train_config();
    (config.epochs, config.max_steps, config.lr, config.schedule.warmup) = (0.0, 30, 0.01, 0);
    config.average = 0.0;
    (config.checkpoint_every, config.val_every, config.log_every) = (Every::Steps(10), 1000, 5);
    config
}

fn signs() -> Signs {
    Signs { read: 0, broken_from: u64::MAX, score: 0.5 }
}

fn trainer(
    network: &Synced,
    source: Signs,
    config: TrainConfig,
    folder: Option<RunFolder>,
) -> Trainer<'_, Synced, Signs> {
    let params = network.init(Init::Fan, &mut Rng::new(1, "weights"));
    Trainer::new(network, source, config, params, 1, folder).unwrap()
}

/// What a run tells of going back: the update it was noticed at, the one gone back to, the rate's new factor.
fn rollbacks(trainer: &mut Trainer<Synced, Signs>) -> (Vec<(u64, u64, f64)>, Result<Ending>) {
    let mut seen = Vec::new();
    let ending = trainer.run(&AtomicBool::new(false), &mut |event| {
        if let Event::RolledBack { at, to, lr_scale, .. } = event {
            seen.push((at, to, lr_scale));
        }
    });
    (seen, ending)
}

fn assert_checkpoints_are_finite(folder: &Path) {
    for name in ["last.safetensors", "previous.safetensors"] {
        let document = model::load(&folder.join(name)).unwrap().document;
        for tensor in document.names().collect::<Vec<_>>() {
            assert!(document.f32(tensor).unwrap().iter().all(|x| x.is_finite()), "{tensor} of {name}");
        }
    }
}

#[test]
fn a_weight_that_becomes_nan_is_noticed_within_an_update_and_gone_back_from() {
    let network = network();
    for in_folder in [true, false] {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let place = tempfile::tempdir().unwrap();
            let path = place.path().join("run");
            let folder = in_folder.then(|| RunFolder::create(&path, "").unwrap());
            let mut trainer = trainer(&network, signs(), config(), folder);
            let stop = AtomicBool::new(false);
            let mut steps = 0;
            let ending = trainer.run(&stop, &mut |event| {
                steps += u64::from(matches!(event, Event::Step { .. }));
                stop.store(steps == 15, Ordering::Relaxed);
            });
            assert_eq!(ending.unwrap(), Ending::Stopped);
            trainer.params_mut().values[7] = bad;
            let (seen, ending) = rollbacks(&mut trainer);
            assert_eq!(ending.unwrap(), Ending::Complete);
            // NaN shows in the loss, before the update; an infinite weight may saturate a gate and show only after it.
            let [(at, to, lr_scale)] = seen[..] else { panic!("{bad}: {seen:?}") };
            assert!((15..=16).contains(&at) && (to, lr_scale) == (15, 0.5), "{bad}: {seen:?}");
            assert_eq!(trainer.progress().step, 30);
            assert!(trainer.params().values.iter().all(|x| x.is_finite()));
            if in_folder {
                assert_checkpoints_are_finite(&path);
            }
        }
    }
}

#[test]
fn data_that_are_not_finite_end_the_run_after_three_returns() {
    let network = network();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("run");
    let folder = RunFolder::create(&path, "").unwrap();
    let mut trainer = trainer(&network, Signs { broken_from: 13, ..signs() }, config(), Some(folder));
    let (seen, ending) = rollbacks(&mut trainer);
    // The batches from the checkpoint to the first that is broken are left out, so that the next is met at once.
    assert_eq!(seen, [(13, 10, 0.5), (10, 10, 0.25), (10, 10, 0.125)]);
    let error = ending.unwrap_err();
    assert!(matches!(error, Error::Diverged { step: 10, times: 4, .. }), "{error}");
    assert!(error.to_string().contains("`lr`"), "{error}");
    assert_checkpoints_are_finite(&path);
}

#[test]
fn a_weight_beyond_the_largest_float_is_not_saved_but_gone_back_from() {
    let network = network();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("run");
    let folder = RunFolder::create(&path, "").unwrap();
    // The first update's gradient is finite, but the weights after it are not; and every update is saved.
    let config = TrainConfig { lr: 1e39, checkpoint_every: Every::Steps(1), ..config() };
    let mut trainer = trainer(&network, signs(), config, Some(folder));
    let (seen, ending) = rollbacks(&mut trainer);
    assert_eq!(seen, [(1, 0, 0.5), (1, 0, 0.25), (1, 0, 0.125)]);
    assert!(matches!(ending, Err(Error::Diverged { .. })), "{ending:?}");
    assert_checkpoints_are_finite(&path);
}

#[test]
fn a_validation_that_is_no_number_is_never_the_best() {
    let network = network();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("run");
    let folder = RunFolder::create(&path, "").unwrap();
    let config = TrainConfig { val_every: 12, ..config() };
    let mut trainer = trainer(&network, Signs { score: f64::NAN, ..signs() }, config, Some(folder));
    let (seen, ending) = rollbacks(&mut trainer);
    assert_eq!(seen, [(12, 10, 0.5), (12, 10, 0.25), (12, 10, 0.125)]);
    assert!(matches!(ending, Err(Error::Diverged { .. })), "{ending:?}");
    assert!(!path.join("best.safetensors").exists());
    assert_checkpoints_are_finite(&path);
}
