//! C headers compile without a library and without warnings, and agree with the machine.

use std::fmt::Write as _;
use std::process::Command;

use crate::random::{Numbers, graph, input, thinning};
use elman_graph::{Builder, Dtype, StepOptions, write};

#[test]
fn headers_compile_freestanding_and_agree_with_the_machine() {
    if Command::new("gcc").arg("--version").output().is_err() {
        println!("skipped: there is no gcc");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut includes, mut main, mut want) = (String::new(), String::new(), Vec::new());
    for seed in 0..80 {
        let graph = if seed < 40 { graph(seed) } else { thinning(seed) };
        let name = format!("net{seed}");
        let header = write::c(&graph, &name, &StepOptions::default()).unwrap();
        std::fs::write(folder.path().join(format!("{name}.h")), header).unwrap();
        let steps = 30;
        let x = input(&graph, seed, 1, steps).to_f32();
        let mut stepper = graph.lower(&StepOptions::default()).unwrap();
        let machine = stepper.machine();
        let mut y = vec![0.0; machine.output_width()];
        let _ = writeln!(includes, "#include \"{name}.h\"");
        let _ = writeln!(main, "    {{ static {name}_stream stream; float y[{}]; int t, i;", y.len());
        let numbers: Vec<String> = x.iter().map(|x| format!("{x:e}f")).collect();
        let _ = writeln!(main, "    static const float x[] = {{ {} }};", numbers.join(", "));
        let _ = writeln!(main, "    {name}_reset(&stream); for (t = 0; t < {steps}; t++) {{");
        let _ = writeln!(main, "    if ({name}_step(&stream, x + t * {}, y)) return 1;", machine.input_width());
        let _ = writeln!(main, "    for (i = 0; i < {}; i++) printf(\"%.9g\\n\", (double)y[i]); }} }}", y.len());
        for x in x.chunks_exact(machine.input_width()) {
            machine.step(x, &mut y).unwrap();
            want.extend(y.iter().map(|y| (*y, seed)));
        }
    }
    std::fs::write(folder.path().join("all.h"), &includes).unwrap();
    std::fs::write(folder.path().join("free.c"), "#include \"all.h\"\n").unwrap();
    let main = format!("#include <stdio.h>\n#include \"all.h\"\nint main(void) {{\n{main}    return 0;\n}}\n");
    std::fs::write(folder.path().join("main.c"), main).unwrap();
    let gcc = |arguments: &[&str]| {
        let output = Command::new("gcc").args(arguments).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"];
    gcc(&[&strict[..], &["-ffreestanding", "-c", "free.c"]].concat());
    gcc(&[&strict[..], &["-O1", "main.c", "-o", "main"]].concat());
    let output = Command::new(folder.path().join("main")).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let got: Vec<f32> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(got.len(), want.len());
    // Networks whose values grow step by step amplify the rounding of sums that are added in another order.
    let grows = |seed| want.iter().any(|(y, other)| *other == seed && y.abs() > 4.0);
    assert!((0..80).filter(|seed| grows(*seed)).count() <= 4);
    for (i, (got, (want, seed))) in got.iter().zip(&want).enumerate() {
        let near = (got - want).abs() <= 1e-6 * want.abs().max(1.0);
        assert!(near || grows(*seed), "net{seed} value {i}: {got}, not {want}");
    }
}

#[test]
fn symbols_and_labels_are_arrays_of_c() {
    let mut b = Builder::new("test");
    let tokens = b.input("tokens", Dtype::I64, ["B".into(), "T".into()]);
    let y = b.embedding("embedding", &tokens, Numbers(3).tensor(&[4, 2], 1.0)).unwrap();
    b.output("y", &y);
    b.sequence(&tokens, Some(1), Some(0), Some("y"));
    let mut graph = b.finish().unwrap();
    graph.about.vocabulary = Some(["<s>", "\"\\", "ü", "??/"].map(String::from).to_vec());
    let header = write::c(&graph, "text", &StepOptions::default()).unwrap();
    assert!(header.contains(
        "text_vocabulary[4] = {\n    \"<s>\",\n    \"\\\"\\\\\",\n    \"\\303\\274\",\n    \"\\?\\?/\",\n};"
    ));
    assert!(write::c(&graph, "2x", &StepOptions::default()).is_err());
}
