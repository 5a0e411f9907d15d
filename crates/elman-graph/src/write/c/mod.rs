//! A C99 header: static arrays, no allocation, no library.
//!
//! The header is what [`crate::Stepper`] would run, written as loops: one function for a step, one for the initial state.

mod step;

use std::fmt::Write as _;

use elman_step::machine::Pace;

use super::refused;
use crate::error::Result;
use crate::graph::Graph;
use crate::lower::{StepOptions, StepPort};
use step::Source;

/// Functions that steps call; `@` stands for the prefix.
const FUNCTIONS: &str = include_str!("functions.h");

/// The graph as a C99 header whose names begin with `name`.
///
/// It compiles with `-std=c99 -Wall -Wextra -Werror -ffreestanding`. A step agrees with [`crate::Stepper`] to rounding.
///
/// # Errors
/// As [`Graph::lower`]; a name that is no identifier of C; weights that are not finite.
pub fn c(graph: &Graph, name: &str, options: &StepOptions) -> Result<String> {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    if !name.starts_with(letter) || !name.chars().all(|c| letter(c) || c.is_ascii_digit()) {
        return Err(refused(name, "not a name in C: letters, digits and underscores, no digit first"));
    }
    let (stepper, recording) = graph.lower_and_record(options, true)?;
    let Some(recording) = recording else { return Err(refused(name, "its steps were not kept")) };
    let mut source = Source::new(name);
    let body = source.body(&recording)?;
    let (x, y) = (width(stepper.inputs()), width(stepper.outputs()));
    let state = recording.initial.len();

    let mut text = String::new();
    let upper = name.to_uppercase();
    let about = if graph.name.is_empty() { name } else { &graph.name };
    let _ = write!(
        text,
        "/* {} as a C99 header: no library, no allocation.\n *\n * x[{x}]:{}\n * y[{y}]:{}\n *\n{} */\n",
        comment(about),
        ports(stepper.inputs()),
        ports(stepper.outputs()),
        example(name, &upper)
    );
    let _ = write!(text, "#ifndef {upper}_H\n#define {upper}_H\n\n#include <stdint.h>\n\n");
    for (what, size) in [("INPUTS", x), ("OUTPUTS", y), ("STATE", state.max(1)), ("WORK", source.work(&recording))] {
        let _ = writeln!(text, "#define {upper}_{what} {size}");
    }
    let _ = write!(
        text,
        "\n/* One stream: carried state, and memory that a step works in. */\ntypedef struct {{\n    float state[{upper}_STATE];\n    float work[{upper}_WORK];\n{}}} {name}_stream;\n\n",
        match source.paces().len() {
            0 => String::new(),
            n => format!("    /* Steps until the next in which a part of the network runs. */\n    int wait[{n}];\n"),
        }
    );
    text.push_str(&FUNCTIONS.replace('@', name));
    text.push('\n');
    text.push_str(source.arrays());
    strings(&mut text, &format!("{name}_vocabulary"), graph.about.vocabulary.as_deref());
    strings(&mut text, &format!("{name}_labels"), graph.about.labels.as_deref());
    reset(&mut text, name, &upper, &recording.initial, source.paces())?;
    let _ = write!(
        text,
        "/* One step; returns 0, or -1 if a token of x is outside the vocabulary, and then the state is unchanged. */\n\
         static inline int {name}_step({name}_stream *stream, const float *x, float *y) {{\n    \
         float *s = stream->state, *a = stream->work;\n    int i;\n    (void)s;\n{body}    return 0;\n}}\n\n#endif\n"
    );
    Ok(text)
}

fn width(ports: &[StepPort]) -> usize {
    ports.iter().map(StepPort::width).sum()
}

/// Names and dimensions of inputs or outputs.
fn ports(ports: &[StepPort]) -> String {
    let pace = |Pace { period, first }| match (period, first) {
        (1, 0) => String::new(),
        (1, first) => format!(" (from step {} on)", first + 1),
        (period, first) => format!(" (new every {period} steps, from step {} on)", first + 1),
    };
    let one = |port: &StepPort| format!(" {} {:?}{}", comment(&port.name), port.dims, pace(port.pace));
    ports.iter().map(one).collect::<Vec<_>>().join(",")
}

/// Text that cannot end a comment.
fn comment(text: &str) -> String {
    text.chars().filter(|c| *c == ' ' || c.is_ascii_graphic()).collect::<String>().replace("*/", "* /")
}

fn example(name: &str, upper: &str) -> String {
    format!(
        " *     #include \"{name}.h\"\n *     #include <stdio.h>\n *     int main(void) {{\n *         static {name}_stream stream;\n \
         *         float x[{upper}_INPUTS] = {{0}}, y[{upper}_OUTPUTS];\n *         {name}_reset(&stream);\n \
         *         for (int t = 0; t < 3; t++) {name}_step(&stream, x, y);\n *         printf(\"%.9g\\n\", (double)y[0]);\n \
         *         return 0;\n *     }}\n"
    )
}

/// An array of strings.
fn strings(text: &mut String, name: &str, strings: Option<&[String]>) {
    let Some(strings) = strings.filter(|strings| !strings.is_empty()) else { return };
    // Most programs use one of them or none.
    let _ = write!(
        text,
        "#ifdef __GNUC__\n__attribute__((unused))\n#endif\nstatic const char *const {name}[{}] = {{\n",
        strings.len()
    );
    for string in strings {
        let _ = writeln!(text, "    \"{}\",", quoted(string));
    }
    text.push_str("};\n\n");
}

fn quoted(string: &str) -> String {
    let mut text = String::new();
    for byte in string.bytes() {
        match byte {
            b'"' | b'\\' | b'?' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b' '..=b'~' => text.push(char::from(byte)),
            // Three octal digits end by themselves, hexadecimal ones do not.
            byte => {
                let _ = write!(text, "\\{byte:03o}");
            }
        }
    }
    text
}

fn reset(text: &mut String, name: &str, upper: &str, initial: &[f32], paces: &[Pace]) -> Result<()> {
    let zero = initial.iter().all(|x| x.to_bits() == 0);
    if !zero {
        text.push_str(&step::array(&format!("{name}_initial"), initial)?);
    }
    let from = if zero { "0.0f".into() } else { format!("{name}_initial[i]") };
    let _ = write!(
        text,
        "/* The state before the first step. */\nstatic inline void {name}_reset({name}_stream *stream) {{\n    int i;\n    \
         for (i = 0; i < {upper}_STATE; i++) stream->state[i] = {from};\n"
    );
    if !paces.is_empty() {
        // What was computed last is read between the steps that compute it.
        let _ = writeln!(text, "    for (i = 0; i < {upper}_WORK; i++) stream->work[i] = 0.0f;");
    }
    for (i, pace) in paces.iter().enumerate() {
        let _ = writeln!(text, "    stream->wait[{i}] = {};", pace.first);
    }
    text.push_str("}\n\n");
    Ok(())
}
