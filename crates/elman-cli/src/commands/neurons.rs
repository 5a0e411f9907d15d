//! `elman inspect --neurons`: the neurons of a language model that follow something in a text, on a terminal and a page.

use std::fmt::Write;
use std::io::IsTerminal;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use elman::data::Vocab;
use elman::format::model::Loaded;
use elman::inspect::{Follower, Trace, follow};
use elman::step::Network;
use elman::task::grouped;
use elman::task::language_model;
use elman::{Error, Result};
use serde_json::{Value, json};

use crate::page::COLOURS;

/// Characters that are coloured on the terminal.
const SHOWN: usize = 600;
/// Characters of a page at most, and values of all neurons together: a page stays below a megabyte.
const LONGEST: usize = 4000;
const VALUES: usize = 1_100_000;

/// The colours of the least and the greatest value: those of the page, as strong as there, so that black letters can be read
/// on them.
const BLUE: (f64, f64, f64) = (93.0, 148.0, 207.0);
const ORANGE: (f64, f64, f64) = (224.0, 143.0, 77.0);

/// The neurons that follow something in a text.
pub(super) struct Neurons {
    characters: Vec<char>,
    /// A character for each token of the vocabulary.
    tokens: Vec<char>,
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
        let tokens = self::characters(&vocab, &(0..vocab.len() as u32).collect::<Vec<_>>());
        Ok(Neurons { characters, tokens, trace, followers })
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
        println!("\nneuron {} of layer {}, blue below 0, orange above:\n", first.neuron, first.layer);
        let mut text = String::new();
        for (c, (r, g, b)) in self.characters.iter().zip(self.colours(first)).take(SHOWN) {
            let shown = if *c == '\n' { " \x1b[0m\n".to_string() } else { c.to_string() };
            // Writing to a String cannot fail.
            let _ = write!(text, "\x1b[48;2;{r};{g};{b}m\x1b[38;2;0;0;0m{shown}");
        }
        println!("{text}\x1b[0m");
    }

    /// A colour for each character: blue for the neuron's lowest value, white for 0, orange for the highest.
    fn colours(&self, follower: &Follower) -> impl Iterator<Item = (u8, u8, u8)> + use<> {
        let values = self.trace.neuron(follower.layer, follower.neuron);
        let largest = values.iter().fold(1e-9f64, |m, v| m.max(v.abs()));
        values.into_iter().map(move |value| {
            let share = value / largest;
            let (r, g, b) = if share < 0.0 { BLUE } else { ORANGE };
            let mixed = |of: f64| (255.0 + (of - 255.0) * share.abs()) as u8;
            (mixed(r), mixed(g), mixed(b))
        })
    }

    /// A page on which a neuron can be chosen: it colours the text.
    pub(super) fn page(&self) -> String {
        let all: usize = self.trace.widths().iter().sum();
        let shown = self.characters.len().min(LONGEST).min((VALUES / all.max(1)).max(200));
        let layers: Vec<String> =
            self.trace.widths().iter().enumerate().map(|(i, h)| self.levels(i, *h, shown)).collect();
        let text: String = self.characters[..shown].iter().collect();
        let guesses = self.trace.guesses().iter().take(shown);
        // A letter and a digit of its probability for each guess.
        let letters: String = guesses.clone().flatten().map(|(token, _)| self.tokens[*token as usize]).collect();
        let digits: String = guesses.flatten().map(|(_, p)| char::from(b'0' + (p * 9.99) as u8)).collect();
        let followers: Vec<Value> = self
            .followers
            .iter()
            .map(|f| json!([f.feature, f.layer, f.neuron, (f.correlation * 1000.0).round() / 1000.0]))
            .collect();
        let data = json!({
            "text": text, "widths": self.trace.widths(), "layers": layers, "letters": letters, "digits": digits,
            "followers": followers,
        });
        // What ends a script would end this one.
        let data = data.to_string().replace('<', "\\u003c");
        let of = match shown < self.characters.len() {
            true => format!("the first {} of {} characters", grouped(shown), grouped(self.characters.len())),
            false => format!("{} characters", grouped(shown)),
        };
        PAGE.replace("{colours}", COLOURS).replace("{of}", &of).replace("{data}", &data)
    }

    /// The first values of a layer's neurons, a level from 0 to 15 in four bits each, neuron by neuron, as base64; 8 is about 0.
    fn levels(&self, layer: usize, width: usize, shown: usize) -> String {
        let mut nibbles = Vec::with_capacity(width * shown + 1);
        for neuron in 0..width {
            let values = self.trace.neuron(layer, neuron);
            let largest = values.iter().fold(1e-9f64, |most, value| most.max(value.abs()));
            nibbles.extend(values.iter().take(shown).map(|value| (8.0 + 7.49 * value / largest) as u8));
        }
        let bytes: Vec<u8> = nibbles.chunks(2).map(|two| two[0] | two.get(1).copied().unwrap_or(0) << 4).collect();
        BASE64_STANDARD.encode(bytes)
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

const PAGE: &str = r##"<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>What the neurons follow</title><style>
{colours}*{box-sizing:border-box}body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground);margin:1rem auto;
max-width:64rem;padding:0 1rem}h1{font-size:1.3rem;margin:.3rem 0}p{margin:.3rem 0}
.bar{position:sticky;top:0;background:var(--ground);padding:.5rem 0;border-bottom:1px solid var(--line);display:flex;flex-wrap:wrap;
gap:.4rem 1rem;align-items:center;z-index:1}select,input,button{font:inherit;color:inherit;background:var(--soft);
border:1px solid var(--line);border-radius:.3rem;padding:.15rem .4rem;max-width:100%}input[type=number]{width:5rem}
#what{font-size:.9rem;opacity:.8;min-height:1.5em}
#text{font:15px/1.6 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere;margin:.7rem 0}
#text.guess{line-height:1.1}#text i{font-style:normal}.guess i{display:inline-block;vertical-align:top;text-align:center;
min-width:.75em;margin-bottom:.7rem}.guess i b{display:block;font-weight:400;font-size:.8em;line-height:1.15;border-radius:2px;
white-space:pre}.scale{display:inline-block;width:9rem;height:.8rem;border-radius:.2rem;
background:linear-gradient(90deg,rgb(var(--low)),transparent,rgb(var(--high)))}</style>
<h1>What the neurons follow</h1><p>{of}, each coloured by one neuron after it was read:
<small>lowest</small> <span class="scale"></span> <small>highest</small></p>
<div class="bar"><select id="list" aria-label="neurons that follow something"></select>
<label>layer <input id="layer" type="number" min="0" value="0"></label>
<label>neuron <input id="neuron" type="number" min="0" value="0"></label>
<button id="back">◀</button><button id="on">▶</button>
<label><input id="guess" type="checkbox"> next-letter guesses</label></div>
<p id="what">&nbsp;</p><div id="text"></div><noscript>The colours need JavaScript; nothing is fetched from elsewhere.</noscript>
<script type="application/json" id="data">{data}</script><script>
const d=JSON.parse(document.getElementById("data").textContent),chars=[...d.text],letters=[...d.letters],n=chars.length;
const layers=d.layers.map(s=>Uint8Array.from(atob(s),c=>c.charCodeAt(0)));
const $=id=>document.getElementById(id),level=(l,k,t)=>{const i=k*n+t,b=layers[l][i>>1];return i&1?b>>4:b&15};
const colour=v=>v==8?"":v<8?`rgba(var(--low),${((8-v)/8*.8).toFixed(2)})`:`rgba(var(--high),${((v-8)/7*.8).toFixed(2)})`;
const shown=c=>c=="\n"?"↵\n":c,mark=c=>c=="\n"?"↵":c==" "?"␣":c;
d.followers.forEach((f,i)=>$("list").add(new Option(`${f[0]}: layer ${f[1]}, neuron ${f[2]} (${f[3]})`,i)));
$("list").add(new Option("any neuron","-"));
function draw(){const l=Math.min(Math.max(0,+$("layer").value||0),layers.length-1),k=Math.min(Math.max(0,+$("neuron").value||0),d.widths[l]-1);
$("layer").value=l;$("layer").max=layers.length-1;$("neuron").value=k;$("neuron").max=d.widths[l]-1;
const g=$("guess").checked,box=$("text"),part=document.createDocumentFragment();box.className=g?"guess":"";box.replaceChildren();
if(g){for(let t=0;t<n;t++){const i=document.createElement("i"),v=level(l,k,t);const head=document.createElement("span");
head.textContent=mark(chars[t]);head.style.background=colour(v);i.append(head);
for(let j=0;j<5;j++){const p=+d.digits[5*t+j],b=document.createElement("b");b.textContent=mark(letters[5*t+j]);
b.style.background=`rgba(var(--high),${(p/12).toFixed(2)})`;b.title=`${p*10} to ${p*10+10} %`;if(p<1)b.style.opacity=.35;i.append(b)}
part.append(i);if(chars[t]=="\n")part.append(document.createElement("br"))}}
else for(let t=0;t<n;){const v=level(l,k,t);let s="",u=t;while(u<n&&level(l,k,u)==v)s+=shown(chars[u++]);
const i=document.createElement("i");i.textContent=s;i.style.background=colour(v);i.title=`level ${v-8} of -8 to 7`;part.append(i);t=u}
box.append(part);const f=d.followers.find(f=>f[1]==l&&f[2]==k),m=[...Array(n).keys()].sort((a,b)=>level(l,k,b)-level(l,k,a)).slice(0,200),c={};
m.forEach(t=>c[chars[t]]=(c[chars[t]]||0)+1);
const top=Object.entries(c).sort((a,b)=>b[1]-a[1]).slice(0,6).map(e=>JSON.stringify(e[0])).join(" ");
$("what").textContent=`neuron ${k} of layer ${l}${f?`: follows ${f[0]}, correlation ${f[3]}`:""}; highest after ${top}`;
const i=d.followers.indexOf(f);$("list").value=i<0?"-":i}
function pick(){const f=d.followers[$("list").value];if(f){$("layer").value=f[1];$("neuron").value=f[2]}draw()}
function step(by){$("neuron").value=Math.max(0,+$("neuron").value+by);draw()}
$("list").onchange=pick;$("layer").onchange=$("neuron").onchange=$("guess").onchange=draw;$("back").onclick=()=>step(-1);$("on").onclick=()=>step(1);pick();
</script></html>
"##;
