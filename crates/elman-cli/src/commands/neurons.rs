//! `elman inspect --neurons`: the neurons of a language model that follow something in a text, on a terminal and a page.

use std::fmt::Write;
use std::io::IsTerminal;

use elman::data::Vocab;
use elman::format::model::Loaded;
use elman::inspect::{Follower, Trace, follow};
use elman::step::Network;
use elman::task::language_model;
use elman::{Error, Result};
use serde_json::{Value, json};

use crate::chart::escaped;

/// Characters that are coloured on the terminal.
const SHOWN: usize = 600;

/// The neurons that follow something in a text.
pub(super) struct Neurons {
    characters: Vec<char>,
    trace: Trace,
    followers: Vec<Follower>,
}

impl Neurons {
    /// Reads a text with a language model.
    ///
    /// # Errors
    /// If the file holds another model, or the text fewer than two tokens that it knows.
    pub(super) fn of(loaded: &Loaded, text: &[u8]) -> Result<Neurons> {
        let vocab = language_model::vocab(loaded)?;
        let mut network =
            Network::read(&loaded.document, loaded.document.precision()).map_err(|error| loaded.error(error))?;
        // What the model does not know is left out: this looks at neurons, it does not evaluate.
        let (tokens, _) = vocab.encode(text, true).map_err(|unseen| Error::Usage(unseen.to_string()))?;
        if tokens.len() < 2 {
            return Err(Error::Usage("--neurons: give a text of at least 2 tokens that the model knows".into()));
        }
        let characters = characters(&vocab, &tokens);
        let trace = Trace::of(&mut network, &tokens)?;
        let followers = trace.followers(&follow(&characters));
        Ok(Neurons { characters, trace, followers })
    }

    pub(super) fn as_json(&self) -> Value {
        let followers = self
            .followers
            .iter()
            .map(|f| json!({"feature": f.feature, "layer": f.layer, "neuron": f.neuron, "correlation": f.correlation}));
        json!({"symbols": self.characters.len(), "followers": followers.collect::<Vec<_>>()})
    }

    pub(super) fn print(&self) {
        println!("{:<28} {:>5} {:>7} {:>12}", "feature", "layer", "neuron", "correlation");
        for f in &self.followers {
            println!("{:<28} {:>5} {:>7} {:>12.3}", f.feature, f.layer, f.neuron, f.correlation);
        }
        let (Some(first), true) = (self.followers.first(), std::io::stdout().is_terminal()) else { return };
        println!("\nneuron {} of layer {}, blue below 0, red above:\n", first.neuron, first.layer);
        let mut text = String::new();
        for (c, (r, g, b)) in self.characters.iter().zip(self.colours(first)).take(SHOWN) {
            let shown = if *c == '\n' { " \x1b[0m\n".to_string() } else { c.to_string() };
            // Writing to a String cannot fail.
            let _ = write!(text, "\x1b[48;2;{r};{g};{b}m\x1b[38;2;0;0;0m{shown}");
        }
        println!("{text}\x1b[0m");
    }

    /// A colour for each character: blue for the neuron's lowest value, white for 0, red for the highest.
    fn colours(&self, follower: &Follower) -> impl Iterator<Item = (u8, u8, u8)> + use<> {
        let values = self.trace.neuron(follower.layer, follower.neuron);
        let largest = values.iter().fold(1e-9f64, |m, v| m.max(v.abs()));
        values.into_iter().map(move |value| {
            let share = value / largest;
            let pale = (255.0 * (1.0 - share.abs())) as u8;
            if share < 0.0 { (pale, pale, 255) } else { (255, pale, pale) }
        })
    }

    /// One section for each follower, its text coloured by the neuron.
    pub(super) fn page(&self) -> String {
        let mut page = String::from(
            "<!doctype html><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <title>What the neurons follow</title><style>body{font:16px/1.5 system-ui;margin:1rem auto;\
             max-width:60rem;padding:0 1rem}pre{font:14px/1.35 monospace;white-space:pre-wrap;overflow-wrap:anywhere;\
             color:#000;background:#fff;border:1px solid #999;padding:.5rem}</style>\
             <h1>What the neurons follow</h1><p>Each text is coloured by one neuron: blue below 0, red above.</p>",
        );
        for f in &self.followers {
            // Writing to a String cannot fail.
            let _ = write!(
                page,
                "<h2>{}</h2><p>Neuron {} of layer {}, correlation {:.3}.</p><pre>",
                escaped(f.feature),
                f.neuron,
                f.layer,
                f.correlation
            );
            for (c, (r, g, b)) in self.characters.iter().zip(self.colours(f)) {
                let text = if *c == '\n' { " \n".to_string() } else { escaped(&c.to_string()) };
                let _ = write!(page, "<span style=\"background:#{r:02x}{g:02x}{b:02x}\">{text}</span>");
            }
            page.push_str("</pre>");
        }
        page
    }
}

/// One character for each token; bytes above ASCII stand as a dot.
fn characters(vocab: &Vocab, tokens: &[u32]) -> Vec<char> {
    let decoder = vocab.decoder();
    let character = |&token: &u32| match std::str::from_utf8(decoder.bytes(token)) {
        Ok(text) => text.chars().next().unwrap_or('.'),
        Err(_) => '.',
    };
    tokens.iter().map(character).collect()
}
