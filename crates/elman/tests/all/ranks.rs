//! Several processes that train one network, here threads: the same bits as one, whatever the task.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex};

use elman::settings::Settings;
use elman::task::{Plan, Start, TASKS};
use elman::train::{AllReduce, Ending, Event, Every, Ranks, Reduce, RunFolder};

/// What the members of a group see of each other.
struct Group {
    barrier: Barrier,
    slots: Mutex<Vec<Vec<u8>>>,
}

/// One of them.
struct Member {
    rank: usize,
    size: usize,
    group: Arc<Group>,
}

impl Member {
    fn group(size: usize) -> Vec<Ranks> {
        let group = Arc::new(Group { barrier: Barrier::new(size), slots: Mutex::new(vec![Vec::new(); size]) });
        (0..size).map(|rank| Ranks::new(Arc::new(Member { rank, size, group: group.clone() }))).collect()
    }

    /// What all gave, once all have given something.
    fn exchange(&self, bytes: &[u8], mut read: impl FnMut(usize, &[u8])) {
        self.group.slots.lock().unwrap()[self.rank] = bytes.to_vec();
        self.group.barrier.wait();
        self.group.slots.lock().unwrap().iter().enumerate().for_each(|(rank, bytes)| read(rank, bytes));
        self.group.barrier.wait();
    }
}

impl AllReduce for Member {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn all_to_all(&self, send: &mut Vec<u8>, receive: &mut Vec<u8>) {
        let part = send.len() / self.size;
        self.exchange(send, |rank, bytes| {
            receive[rank * part..][..part].copy_from_slice(&bytes[self.rank * part..][..part]);
        });
    }

    fn all_gather(&self, send: &mut Vec<u8>, receive: &mut Vec<u8>) {
        self.exchange(send, |rank, bytes| receive[rank * send.len()..][..send.len()].copy_from_slice(bytes));
    }

    fn broadcast(&self, bytes: &mut Vec<u8>) {
        let sent = bytes.to_vec();
        self.exchange(&sent, |rank, sent| {
            if rank == 0 {
                bytes.copy_from_slice(sent);
            }
        });
    }
}

/// Runs `f` on every member of a group, each on a thread of its own; what each answers.
fn on_each<T: Send>(size: usize, f: impl Fn(Ranks) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = Member::group(size).into_iter().map(|ranks| scope.spawn(|| f(ranks))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// A small run of a task on its own data.
fn settings(task: &str) -> Settings {
    let mut settings = Settings::for_builtin_data(task).unwrap();
    (settings.batch, settings.threads, settings.epochs, settings.max_steps) = (16, 1, 0.0, 6);
    (settings.val_every, settings.sample_every, settings.log_every) = (3, 0, 2);
    settings.checkpoint_every = Every::Steps(3);
    for (key, value) in [("hidden", "16"), ("val_limit", "24"), ("refit", "no")] {
        if elman::task::Task::find(task).unwrap().is_read(key) {
            settings.set(key, value).unwrap();
        }
    }
    if task == "language-model" {
        (settings.seq_len, settings.embedding) = (24, 8);
    }
    settings
}

/// Trains with so many ranks in a folder, from its beginning or from its checkpoint; the progress of each.
fn train(plan: &dyn Plan, folder: &Path, size: usize, resume: bool) -> Vec<elman::train::Progress> {
    on_each(size, |ranks| {
        let folder = ranks.is_lead().then(|| match resume {
            true => RunFolder::open(folder).unwrap(),
            false => RunFolder::create(folder, &plan.settings().to_toml().unwrap()).unwrap(),
        });
        let start = Start { resume: resume && ranks.is_lead(), folder, ranks };
        let mut session = plan.session(start).unwrap();
        assert_eq!(session.run(&AtomicBool::new(false), &mut |_| {}).unwrap(), Ending::Complete);
        session.progress().clone()
    })
}

fn bytes(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap()
}

#[test]
fn any_task_has_the_same_bits_on_one_two_and_four_ranks() {
    let place = tempfile::tempdir().unwrap();
    for task in TASKS {
        let plan = elman::task::plan(Settings { deterministic: true, ..settings(task.name) }).unwrap();
        let folders = [1, 2, 4].map(|size| {
            let folder = place.path().join(format!("{}-{size}", task.name));
            let progress = train(&*plan, &folder, size, false);
            assert!(progress.iter().all(|other| other == &progress[0]), "{}", task.name);
            assert_eq!((progress[0].step, progress[0].validations.0), (6, 2), "{}", task.name);
            folder
        });
        for name in ["best.safetensors", "last.safetensors"] {
            let [one, two, four] = folders.each_ref().map(|folder| bytes(folder, name));
            assert!(one == two && one == four, "{} {name}", task.name);
        }
    }
}

#[test]
fn other_numbers_of_ranks_and_less_precise_sums_come_near() {
    let mut settings = settings("language-model");
    settings.max_steps = 100;
    // Masks are drawn for each block.
    (settings.val_every, settings.batch, settings.dropout) = (100, 12, 0.0);
    let loss = |size: usize, reduce: Reduce| {
        let plan = elman::task::plan(Settings { reduce, ..settings.clone() }).unwrap();
        let losses = on_each(size, |ranks| {
            let mut session = plan.session(Start::default().among(ranks)).unwrap();
            let mut last = 0.0;
            let see = &mut |event: Event| {
                if let Event::Step { loss_nats, .. } = event {
                    last = loss_nats;
                }
            };
            session.run(&AtomicBool::new(false), see).unwrap();
            (last, session.records().last().unwrap().val("val_nats").unwrap())
        });
        assert!(losses.iter().all(|one| one == &losses[0]));
        losses[0]
    };
    let alone = loss(1, Reduce::F32);
    for (size, reduce, bound) in
        [(2, Reduce::F32, 1e-5), (3, Reduce::F32, 1e-5), (12, Reduce::F32, 1e-5), (3, Reduce::Bf16, 1e-2)]
    {
        let (train, val) = loss(size, reduce);
        assert!((train / alone.0 - 1.0).abs() < bound, "{size} {reduce:?}: {train} {}", alone.0);
        assert!((val / alone.1 - 1.0).abs() < bound, "{size} {reduce:?}: {val} {}", alone.1);
    }
}

#[test]
fn a_run_goes_on_with_any_number_of_ranks() {
    let place = tempfile::tempdir().unwrap();
    for deterministic in [true, false] {
        // Where batches fall into other blocks, as many carried states change hands.
        let mut half = Settings { deterministic, batch: 24, dropout: 0.0, warmup: 0, ..settings("language-model") };
        half.set("schedule", "constant").unwrap();
        let plans = [half.clone(), Settings { max_steps: 12, ..half }].map(|s| elman::task::plan(s).unwrap());
        let whole = place.path().join(format!("whole-{deterministic}"));
        train(&*plans[1], &whole, 2, false);
        let best = |folder: &Path| elman::format::model::load(&folder.join("last.safetensors")).unwrap();
        let weights = |folder: &Path| {
            let loaded = best(folder);
            let names: Vec<String> = loaded.document.names().map(String::from).collect();
            let of = |name: &String| {
                let tensor = loaded.document.tensor(name).unwrap();
                loaded.document.expect_f32(name, tensor.dims).unwrap()
            };
            names.iter().filter(|name| !name.starts_with("training.")).flat_map(of).collect::<Vec<f32>>()
        };
        for size in [1, 3, 4] {
            let folder = place.path().join(format!("{size}-{deterministic}"));
            train(&*plans[0], &folder, 2, false);
            train(&*plans[1], &folder, size, true);
            let far = weights(&whole).iter().zip(weights(&folder)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            let bound = if deterministic && size != 3 { 0.0 } else { 1e-4 };
            assert!(far <= bound, "{size} {deterministic}: {far}");
        }
    }
}

#[test]
fn a_stop_or_a_divergence_is_one_of_all_ranks() {
    let plan = elman::task::plan(settings("classify-sequence")).unwrap();
    let ends = on_each(2, |ranks| {
        // Rank 1 alone is asked to.
        let (is_asked, stop) = (!ranks.is_lead(), AtomicBool::new(false));
        let mut session = plan.session(Start::default().among(ranks)).unwrap();
        let see = &mut |event: Event| {
            if let Event::Step { .. } = event {
                stop.store(is_asked, Ordering::Relaxed);
            }
        };
        (session.run(&stop, see).unwrap(), session.progress().step)
    });
    assert!(ends[0] == ends[1] && ends[0].0 == Ending::Stopped && ends[0].1 < 6, "{ends:?}");

    let wild = Settings { lr: 1e30, clip_norm: 0.0, ..settings("regress") };
    let plan = elman::task::plan(wild).unwrap();
    let errors = on_each(2, |ranks| {
        let mut session = plan.session(Start::default().among(ranks)).unwrap();
        session.run(&AtomicBool::new(false), &mut |_| {}).unwrap_err().to_string()
    });
    assert!(errors[0] == errors[1] && errors[0].contains("diverged 4 times"), "{errors:?}");
}

#[test]
fn ranks_that_do_not_train_the_same_are_refused() {
    let plan = |seed: u64, hidden: usize, batch: usize| {
        let settings = Settings { seed, hidden, batch, ..settings("classify-sequence") };
        elman::task::plan(settings).unwrap()
    };
    let refused = |plans: [Box<dyn Plan>; 2]| {
        let errors = on_each(2, |ranks| plans[ranks.rank()].session(Start::default().among(ranks)).err().unwrap());
        assert_eq!(errors[0].to_string(), errors[1].to_string());
        errors[0].to_string()
    };
    let said = refused([plan(1, 16, 16), plan(1, 24, 16)]);
    assert!(said.starts_with("rank 1 and rank 0 do not have the same network"), "{said}");
    let said = refused([plan(1, 16, 16), plan(2, 16, 16)]);
    assert!(said.starts_with("rank 1 and rank 0 do not have the same training data"), "{said}");
    let said = refused([plan(1, 16, 1), plan(1, 16, 1)]);
    assert!(said.contains("too few for 2 ranks") && said.contains("`batch`"), "{said}");
}
