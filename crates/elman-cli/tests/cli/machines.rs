//! Several processes that train one network. Without the feature `mpi`: that it is said.

#[cfg(not(feature = "mpi"))]
use crate::place::{Place, Run};

#[cfg(not(feature = "mpi"))]
#[test]
fn without_mpi_a_launcher_of_several_is_told_so() {
    let place = Place::new();
    let launched = |rank: &str| {
        let mut command = place.command("train book.txt --out run");
        command.env("OMPI_COMM_WORLD_RANK", rank).env("OMPI_COMM_WORLD_SIZE", "2");
        Run::of("mpirun", command.output().unwrap())
    };
    launched("0").fails(2, &["Open MPI's mpirun", "one of 2 processes", "--features mpi", "start it alone"]);
    let second = launched("1");
    assert!(second.code == 2 && second.stderr.is_empty(), "{second:?}");
    assert!(!place.path("run").exists());
    let run =
        place.run("train book.txt --out run --max-steps 3 --epochs 0 --hidden 4 --reduce bf16 --seq-len 8 --batch 2");
    assert!(run.code == 0 && run.stderr.contains("--reduce bf16 is for several processes"), "{run:?}");
}

#[cfg(feature = "mpi")]
mod over_mpi {
    use std::process::{Child, Command, Stdio};
    use std::thread::sleep;
    use std::time::Duration;

    use crate::place::{Place, Run, TINY, times};

    /// `mpirun` of so many ranks of the command; `ELMAN_MPIRUN` names another.
    fn mpirun(place: &Place, size: usize, words: &str) -> Command {
        let launcher = std::env::var("ELMAN_MPIRUN").unwrap_or_else(|_| "mpirun".into());
        let mut command = Command::new(launcher);
        // As root and with more ranks than cores, as on a machine that tests; another library passes these over.
        for name in ["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "OMPI_MCA_rmaps_base_oversubscribe"] {
            command.env(name, "1");
        }
        command.current_dir(place.folder()).args(["-n", &size.to_string(), env!("CARGO_BIN_EXE_elman")]);
        command.args(words.split_whitespace());
        command
    }

    fn ok(place: &Place, size: usize, words: &str) -> Run {
        let run = Run::of(words, mpirun(place, size, words).output().unwrap());
        assert_eq!(run.code, 0, "{run:?}");
        run
    }

    fn spawn(mut command: Command) -> Child {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The ranks below a launcher: its children, or theirs.
    fn ranks(id: &str) -> Vec<String> {
        let output = Command::new("pgrep").args(["-P", id]).output().unwrap();
        let children: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(String::from).collect();
        let name = |id: &str| std::fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
        let below = |id: String| if name(&id).trim() == "elman" { vec![id] } else { ranks(&id) };
        children.into_iter().flat_map(below).collect()
    }

    fn signal(name: &str, id: &str) {
        // It may have ended.
        let _ = Command::new("kill").args([&format!("-{name}"), id]).output();
    }

    /// Whether this machine can start ranks; said where it cannot.
    fn cannot_launch() -> bool {
        let place = Place::new();
        let version = mpirun(&place, 2, "--version").output();
        let can = version.is_ok_and(|output| output.status.success());
        if !can {
            eprintln!("skipped: mpirun cannot start two processes here");
        }
        !can
    }

    fn begun(place: &Place, run: &str) {
        let wait = (0..20_000).find(|_| {
            sleep(Duration::from_millis(1));
            place.path(&format!("{run}/last.safetensors")).exists()
        });
        assert!(wait.is_some(), "{run} did not begin");
    }

    #[test]
    fn every_shape_has_the_same_bits_on_one_two_and_four_ranks() {
        if cannot_launch() {
            return;
        }
        let place = Place::new();
        for task in ["classify", "classify-sequence", "classify-frames", "language-model", "translate", "caption"] {
            let sizes = if task == "classify" { "" } else { "--hidden 16" };
            let words = format!(
                "train --task {task} --batch 16 --epochs 0 --max-steps 6 --val-every 3 --sample-every 0 {sizes} \
                 --threads 1 --deterministic --quiet --out"
            );
            place.ok(&format!("{words} {task}-1"));
            for size in [2, 4] {
                ok(&place, size, &format!("{words} {task}-{size}"));
                for name in ["best.safetensors", "last.safetensors"] {
                    let [one, more] = [1, size].map(|size| place.read(&format!("{task}-{size}/{name}")));
                    assert!(one == more, "{task} {size} {name}");
                }
            }
        }
    }

    #[test]
    fn rank_0_speaks_for_all_and_each_fold_is_shared() {
        if cannot_launch() {
            return;
        }
        let place = Place::new();
        let run = ok(&place, 2, &format!("train book.txt --out run {TINY}"));
        assert!(run.stderr.contains("2 ranks: of every batch of 4 each computes about 2, on 1 threads"), "{run:?}");
        assert_eq!(run.stderr.matches("training characters").count(), 1, "{run:?}");
        let rows: String =
            (0..60).map(|i| format!("{},{},{}\n", i % 7, i % 5, ["a", "b"][(i % 7 > 3) as usize])).collect();
        place.write("rows.csv", format!("x,y,class\n{rows}"));
        let words = "train rows.csv --label-column class --task classify --max-steps 20 --epochs 0 --folds 3 --out f";
        let run = ok(&place, 2, words);
        assert!(run.stderr.contains("3 folds, at the end of each"), "{run:?}");
    }

    #[test]
    fn a_killed_rank_ends_the_job_and_the_run_goes_on_with_any_number() {
        if cannot_launch() {
            return;
        }
        let place = Place::new();
        let words = |out: &str| {
            format!(
                "train book.txt --hidden 16 --batch 16 --seq-len 32 --epochs 0 --max-steps 400 --val-every 100 \
                     --threads 1 --checkpoint-every 20 --deterministic --sample-every 0 --quiet --out {out}"
            )
        };
        place.ok(&words("whole"));
        for n in 0..times("ELMAN_KILLS", 3) {
            let run = format!("run{n}");
            let child = spawn(mpirun(&place, 2, &words(&run)));
            begun(&place, &run);
            sleep(Duration::from_millis((n * 61 % 300) as u64));
            let ranks = ranks(&child.id().to_string());
            // One of the ranks, or the launcher as a scheduler would end it.
            match ranks.get(n % 3) {
                Some(rank) => signal("KILL", rank),
                None => signal("TERM", &child.id().to_string()),
            }
            child.wait_with_output().unwrap();
            let size = [1, 2, 4][n % 3];
            ok(&place, size, &format!("train --resume {run} --quiet"));
            for name in ["best.safetensors", "last.safetensors"] {
                assert!(place.read(&format!("whole/{name}")) == place.read(&format!("{run}/{name}")), "{run} {name}");
            }
        }
    }

    #[test]
    fn a_rank_that_is_stopped_ends_the_job_with_a_message() {
        if cannot_launch() {
            return;
        }
        let place = Place::new();
        let endless = format!("train book.txt {TINY} --max-steps 100000 --quiet --out");
        let child = spawn(mpirun(&place, 2, &format!("{endless} stopped")));
        begun(&place, "stopped");
        let ranks = ranks(&child.id().to_string());
        signal("STOP", &ranks[1]);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("rank 1") && said.contains("no sign of life") && said.contains("--resume"), "{said}");
        assert_eq!(output.status.code(), Some(7), "{said}");
    }
}
