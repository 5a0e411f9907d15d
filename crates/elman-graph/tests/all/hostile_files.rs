//! Some sixty files that mean harm or are broken.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// A file, the map to read it with, and a word that its refusal has.
pub(crate) struct Hostile {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) map: Option<PathBuf>,
    pub(crate) word: &'static str,
}

/// Uncompressed entries in a zip archive.
fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    let fields = |name: &str, data: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(data);
        let mut fields = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        fields.extend(crc.sum().to_le_bytes());
        fields.extend((data.len() as u32).to_le_bytes());
        fields.extend((data.len() as u32).to_le_bytes());
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend([0, 0]);
        fields
    };
    for (name, data) in entries {
        let at = file.len() as u32;
        file.extend(b"PK\x03\x04");
        file.extend(fields(name, data));
        file.extend(name.as_bytes());
        file.extend(*data);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(fields(name, data));
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let at = file.len() as u32;
    let count = (entries.len() as u16).to_le_bytes();
    file.extend(&directory);
    file.extend(b"PK\x05\x06\x00\x00\x00\x00");
    file.extend(count);
    file.extend(count);
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend(at.to_le_bytes());
    file.extend([0, 0]);
    file
}

/// A short text in a pickle.
fn text(word: &str) -> Vec<u8> {
    let mut bytes = vec![b'X'];
    bytes.extend((word.len() as u32).to_le_bytes());
    bytes.extend(word.as_bytes());
    bytes
}

fn int(value: i64) -> Vec<u8> {
    let mut bytes = vec![0x8a, 8];
    bytes.extend(value.to_le_bytes());
    bytes
}

/// A tensor as `torch.save` writes it, with any numbers.
fn tensor(key: &str, len: i64, offset: i64, dims: &[i64], strides: &[i64]) -> Vec<u8> {
    let mut bytes = b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec();
    bytes.extend(text("storage"));
    bytes.extend(b"ctorch\nFloatStorage\n");
    bytes.extend(text(key));
    bytes.extend(text("cpu"));
    bytes.extend(int(len));
    bytes.extend(b"tQ");
    bytes.extend(int(offset));
    for list in [dims, strides] {
        bytes.push(b'(');
        list.iter().for_each(|value| bytes.extend(int(*value)));
        bytes.push(b't');
    }
    bytes.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    bytes
}

/// A pickled dict.
fn dict(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = b"}(".to_vec();
    for (name, value) in entries {
        bytes.extend(text(name));
        bytes.extend(value);
    }
    bytes.push(b'u');
    bytes
}

fn pickle(value: &[u8]) -> Vec<u8> {
    [b"\x80\x02", value, b"."].concat()
}

fn pt(value: &[u8], storage: &[u8]) -> Vec<u8> {
    zip(&[("archive/data.pkl", &pickle(value)), ("archive/data/0", storage)])
}

/// `nn.RNN(1, 1)` with another tensor for its first weight, or another value beside it.
fn rnn(first: Vec<u8>, others: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut entries = vec![("weight_ih_l0", first), ("weight_hh_l0", tensor("0", 4, 1, &[1, 1], &[1, 1]))];
    entries.extend(others.iter().cloned());
    pt(&dict(&entries), &[0; 16])
}

fn good() -> Vec<u8> {
    tensor("0", 4, 0, &[1, 1], &[1, 1])
}

/// `module.name(*())` by REDUCE.
fn call(function: &str) -> Vec<u8> {
    format!("c{}\n(Vtouch elman-was-here\ntR", function.replace('.', "\n")).into_bytes()
}

fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

fn keras(config: &Value) -> Vec<u8> {
    let h5 = include_bytes!("dense.h5");
    zip(&[
        ("metadata.json", b"{\"keras_version\": \"3.15.1\"}"),
        ("config.json", config.to_string().as_bytes()),
        ("model.weights.h5", h5),
    ])
}

fn sequential(class: &str, config: &Value) -> Value {
    let input = json!({"class_name": "InputLayer", "config": {"name": "input", "batch_shape": [null, null, 3], "dtype": "float32"}});
    json!({"class_name": "Sequential", "config": {"name": "s", "layers": [input, {"class_name": class, "config": config}]}})
}

fn nam(hidden: f64, layers: f64, count: usize) -> Vec<u8> {
    let config = json!({"input_size": 1, "hidden_size": hidden, "num_layers": layers});
    json!({"architecture": "LSTM", "config": config, "weights": vec![0.1; count]}).to_string().into_bytes()
}

fn rtneural(layer: &Value) -> Vec<u8> {
    json!({"in_shape": [null, null, 1], "layers": [layer]}).to_string().into_bytes()
}

fn amp(unit: &str, hidden: f64) -> Vec<u8> {
    let data = json!({"input_size": 1, "output_size": 1, "hidden_size": hidden, "skip": 1, "unit_type": unit, "num_layers": 1});
    json!({"model_data": data, "state_dict": {"lin.weight": [[1.0]], "lin.bias": [0.0]}}).to_string().into_bytes()
}

/// Writes all files into a folder.
pub(crate) fn all(folder: &Path) -> Vec<Hostile> {
    let mut files: Vec<(&str, Vec<u8>, &'static str)> = Vec::new();

    // Pickles that call, nest, refer or lie.
    files.push(("call.pt", rnn(good(), &[("x", call("posix.system"))]), "posix.system"));
    files.push(("call-eval.pt", pt(&call("builtins.eval"), &[]), "builtins.eval"));
    let deep = [b"(".repeat(500), call("os.system"), b"t".repeat(500)].concat();
    files.push(("call-deep.pt", rnn(good(), &[("optimizer", deep)]), "os.system"));
    files.push(("call-as-class.pt", rnn(good(), &[("x", b"csubprocess\nPopen\n)\x81".to_vec())]), "subprocess.Popen"));
    files.push(("call-inst.pt", rnn(good(), &[("x", b"(iposix\nsystem\n".to_vec())]), "posix.system"));
    files.push((
        "call-by-stack.pt",
        rnn(good(), &[("x", [text("nt"), text("system"), b"\x93)R".to_vec()].concat())]),
        "nt.system",
    ));
    files.push((
        "call-by-rebuild.pt",
        rnn(good(), &[("x", b"ctorch._tensor\n_rebuild_from_type_v2\n(cos\nsystem\nN)NtR".to_vec())]),
        "os.system",
    ));
    files.push(("call-by-build.pt", rnn(good(), &[("x", b"cos\nsystem\n}b".to_vec())]), "pickle"));
    files.push(("plain.pickle", pickle(&call("posix.system")), "posix.system"));
    files.push(("nested-lists.pt", pt(&[b"]".repeat(200_000), b"a".repeat(199_999)].concat(), &[]), "state dict"));
    files.push((
        "nested-dicts.pt",
        pt(&[b"}X\x01\0\0\0a".repeat(60_000), b"}".to_vec(), b"s".repeat(60_000)].concat(), &[]),
        "no tensors",
    ));
    let doubling: Vec<u8> =
        (0..100u8).flat_map(|at| [b"(h".as_slice(), &[at], b"h", &[at], b"tq", &[at + 1]].concat()).collect();
    files.push(("doubling.pt", pt(&[b"]q\0".to_vec(), doubling].concat(), &[]), "state dict"));
    let doubling: Vec<u8> = (0..100u8)
        .flat_map(|at| [b"}(X\x01\0\0\0ah".as_slice(), &[at], b"X\x01\0\0\0bh", &[at], b"uq", &[at + 1]].concat())
        .collect();
    files.push(("doubling-dicts.pt", pt(&[b"}q\0".to_vec(), doubling].concat(), &[]), "no tensors"));
    files.push(("many-values.pt", pt(&b"N".repeat(3_000_000), &[]), "values"));
    files.push(("many-lists.pt", pt(&b"]".repeat(3_000_000), &[]), "values"));
    files.push(("self.pt", pt(b"]q\0h\0a", &[]), "state dict"));
    files.push(("self-dict.pt", pt(&[b"}q\0".as_slice(), &text("a"), b"h\0s"].concat(), &[]), "no tensors"));
    files.push(("set-in-list.pt", pt(&[b"]".as_slice(), &text("a"), b"Ns"].concat(), &[]), "dict"));
    files.push(("stack-empty.pt", pt(b"aaaa", &[]), "missing"));
    files.push(("mark-missing.pt", pt(b"t", &[]), "mark"));
    files.push(("memo-missing.pt", pt(b"hh", &[]), "never stored"));
    files.push(("text-huge.pt", pt(b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc", &[]), "too early"));
    files.push((
        "truncated-pickle.pt",
        zip(&[("archive/data.pkl", &pickle(&dict(&[("weight_ih_l0", good())]))[..60])]),
        "too early",
    ));
    files.push((
        "storage-missing.pt",
        zip(&[("archive/data.pkl", &pickle(&dict(&[("weight_ih_l0", good())])))]),
        "data/0",
    ));
    files.push((
        "storage-short.pt",
        pt(&dict(&[("weight_ih_l0", tensor("0", 100, 0, &[10, 10], &[10, 1]))]), &[0; 16]),
        "storage 0",
    ));
    files.push(("storage-beyond.pt", rnn(tensor("0", 4, 100, &[1, 1], &[1, 1]), &[]), "storage 0"));
    files.push(("stride-beyond.pt", rnn(tensor("0", 4, 0, &[2, 1], &[i64::MAX, 1]), &[]), "storage 0"));
    files.push(("dims-overflow.pt", rnn(tensor("0", 4, 0, &[1 << 40, 1 << 40], &[1, 1]), &[]), "dimensions"));
    files.push(("dims-negative.pt", rnn(tensor("0", 4, 0, &[-1, 1], &[1, 1]), &[]), "tensor"));
    files.push(("dims-expanded.pt", rnn(tensor("0", 4, 0, &[1 << 30, 1], &[0, 1]), &[]), "exceed"));
    files.push(("storage-claims.pt", rnn(tensor("0", 1 << 40, 0, &[1 << 38, 4], &[0, 1]), &[]), "storage"));
    files.push(("path-as-key.pt", rnn(tensor("../../../../../etc/passwd", 4, 0, &[1, 1], &[1, 1]), &[]), "passwd"));
    files.push(("name-twice.pt", rnn(good(), &[("weight_ih_l0", good())]), "twice"));
    files.push((
        "nan.pt",
        pt(&dict(&[("weight_ih_l0", good()), ("weight_hh_l0", tensor("0", 4, 1, &[1, 1], &[1, 1]))]), &[255; 16]),
        "finite",
    ));
    let many: Vec<(String, Vec<u8>)> = (0..4000).map(|at| (format!("m{at}.weight"), good())).collect();
    let many: Vec<(&str, Vec<u8>)> = many.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    files.push(("many-modules.pt", pt(&dict(&many), &[0; 16]), "module"));
    let layers: Vec<(String, Vec<u8>)> = (0..4000).map(|at| (format!("weight_ih_l{at}"), good())).collect();
    let layers: Vec<(&str, Vec<u8>)> = layers.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    files.push(("many-layers.pt", pt(&dict(&layers), &[0; 16]), "tensors"));
    let wide: Vec<(String, Vec<u8>)> =
        (0..2000).map(|at| (format!("weight{at}"), tensor("0", 1 << 16, 0, &[1 << 16], &[1]))).collect();
    let wide: Vec<(&str, Vec<u8>)> = wide.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    files.push(("one-storage-often.pt", pt(&dict(&wide), &[0; 1 << 18]), "share"));
    let legacy =
        [b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.".as_slice(), &pickle(b"}")]
            .concat();
    files.push((
        "legacy-cut.pt",
        [legacy.as_slice(), &pickle(&dict(&[("weight_ih_l0", good())]))].concat(),
        "too early",
    ));
    let keys = pickle(&[b"](".as_slice(), &text("0"), b"e"].concat());
    files.push((
        "legacy-claims.pt",
        [legacy.as_slice(), &pickle(&dict(&[("weight_ih_l0", good())])), &keys, &u64::MAX.to_le_bytes()].concat(),
        "storage 0",
    ));

    // Archives.
    files.push((
        "slip.pt",
        zip(&[
            ("../../elman-was-here", b"x"),
            ("/etc/elman-was-here", b"x"),
            ("data.pkl", &pickle(&call("os.system"))),
        ]),
        "os.system",
    ));
    files.push((
        "entry-twice.pt",
        zip(&[
            ("a/data.pkl", b"x"),
            ("a/data.pkl", &pickle(&dict(&[("weight_ih_l0", good())]))),
            ("a/data/0", &[0; 16]),
        ]),
        "one name",
    ));
    files.push((
        "torchscript.pt",
        zip(&[("a/data.pkl", b"x"), ("a/code/__torch__.py", b"x"), ("a/constants.pkl", b"x")]),
        "TorchScript",
    ));
    files.push(("cut.zip", pt(&dict(&[("weight_ih_l0", good())]), &[0; 16])[..200].to_vec(), ""));
    files.push((
        "no-weights.keras",
        zip(&[("config.json", b"{\"class_name\": \"Sequential\", \"config\": {\"layers\": []}}")]),
        "model.weights.h5",
    ));

    // safetensors.
    let entry =
        |shape: &str, offsets: &str| format!("{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":{offsets}}}");
    let one = entry("[1,1]", "[0,4]");
    files.push(("header-huge.safetensors", [&(1u64 << 62).to_le_bytes(), b"{}".as_slice()].concat(), ""));
    files.push((
        "twice.safetensors",
        safetensors(&format!("{{\"weight_ih_l0\":{one},\"weight_ih_l0\":{one}}}"), &[0; 4]),
        "twice",
    ));
    files.push((
        "overlap.safetensors",
        safetensors(&format!("{{\"a\":{},\"b\":{}}}", entry("[2]", "[0,8]"), entry("[1]", "[4,8]")), &[0; 8]),
        "overlap",
    ));
    files.push((
        "overflow.safetensors",
        safetensors(&format!("{{\"a\":{}}}", entry("[4294967296,4294967296,4]", "[0,0]")), &[]),
        "shape",
    ));
    files.push((
        "huge.safetensors",
        safetensors(&format!("{{\"a\":{}}}", entry("[1000000000]", "[0,4000000000]")), &[0; 4]),
        "beyond",
    ));
    files.push(("left-over.safetensors", safetensors(&format!("{{\"weight_ih_l0\":{one}}}"), &[0; 99]), "no tensor"));

    // JSON of every kind.
    files.push(("deep.json", [b"{\"a\":".as_slice(), &b"[".repeat(100_000)].concat(), "recursion"));
    files.push((
        "infinite.nam",
        b"{\"architecture\": \"LSTM\", \"config\": {}, \"weights\": [1e999]}".to_vec(),
        "range",
    ));
    files.push(("nan.nam", b"{\"architecture\": \"LSTM\", \"config\": {}, \"weights\": [NaN]}".to_vec(), "JSON"));
    files.push(("too-large-for-f32.nam", br#"{"architecture": "LSTM", "config": {"input_size": 1, "hidden_size": 1, "num_layers": 1}, "weights": [1e300,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}"#.to_vec(), "range"));
    files.push(("units-huge.nam", nam(1e9, 1.0, 70), "weights"));
    files.push(("layers-huge.nam", nam(3.0, 1e15, 70), "weights"));
    files.push(("weight-more.nam", nam(3.0, 1.0, 71), "71"));
    files.push(("layers-none.nam", nam(3.0, 0.0, 70), "num_layers"));
    files.push(("units-half.nam", nam(3.5, 1.0, 70), "hidden_size"));
    files.push((
        "convnet.nam",
        b"{\"architecture\": \"ConvNet\", \"config\": {}, \"weights\": []}".to_vec(),
        "ConvNet",
    ));
    files.push((
        "units-contradict.json",
        rtneural(&json!({"type": "dense", "shape": [null, null, 16], "weights": [[[1.0, 2.0]], [0.0, 0.0]]})),
        "16",
    ));
    files.push(("layer-unknown.json", rtneural(&json!({"type": "os.system", "weights": []})), "os.system"));
    files.push(("ragged.json", rtneural(&json!({"type": "dense", "weights": [[[1.0], [2.0, 3.0]], [0.0]]})), "differ"));
    files.push((
        "dilation-huge.json",
        rtneural(&json!({"type": "conv1d", "dilation": [1e12], "weights": [[[[1.0]], [[1.0]]], [0.0]]})),
        "dilation",
    ));
    files.push((
        "gain-huge.json",
        json!({"in_shape": [1], "in_gain": 1e30, "layers": [{"type": "activation"}]}).to_string().into_bytes(),
        "in_gain",
    ));
    files.push(("units-huge.json", amp("LSTM", 1e9), "rec.weight_ih_l0"));
    files.push(("unit-unknown.json", amp("exec", 8.0), "exec"));
    files.push(("no-kind.json", b"{\"hello\": [1, 2]}".to_vec(), "no kind"));

    // Keras.
    files.push((
        "lambda.keras",
        keras(&sequential("Lambda", &json!({"name": "l", "function": ["4wAAAA==", null, null]}))),
        "Lambda",
    ));
    files.push(("class.keras", keras(&sequential("os.system", &json!({"name": "l"}))), "os.system"));
    files.push((
        "units-huge.keras",
        keras(&sequential("Dense", &json!({"name": "dense", "units": 1_000_000_000}))),
        "dense",
    ));
    files.push(("units-contradict.keras", keras(&sequential("Dense", &json!({"name": "dense", "units": 3}))), "dense"));
    files.push((
        "activation.keras",
        keras(&sequential("Dense", &json!({"name": "dense", "units": 2, "activation": "os.system"}))),
        "os.system",
    ));
    files.push((
        "weights-unused.keras",
        keras(&sequential("Activation", &json!({"name": "a", "activation": "tanh"}))),
        "no layer uses",
    ));
    let node = |name: &str| json!([[[name, 0, 0, {}]]]);
    let layer = |name: &str, from: &str| json!({"class_name": "Activation", "name": name, "config": {"name": name, "activation": "tanh"}, "inbound_nodes": node(from)});
    let input = json!({"class_name": "InputLayer", "name": "i", "config": {"name": "i", "batch_input_shape": [null, null, 3]}, "inbound_nodes": []});
    let cyclic = json!({"class_name": "Model", "config": {"layers": [input, layer("a", "b"), layer("b", "a")], "input_layers": [["i", 0, 0]], "output_layers": [["a", 0, 0]]}});
    files.push(("cycle.keras", keras(&cyclic), "never made"));
    let deep = format!("{{\"class_name\": {}", "[".repeat(100_000));
    files.push(("deep.keras", zip(&[("config.json", deep.as_bytes()), ("model.weights.h5", b"x")]), "config.json"));
    files.push(("cut.h5", include_bytes!("dense.h5")[..900].to_vec(), "unexpected end"));
    for (name, bytes) in [
        ("group-cycle.h5", include_bytes!("cycle.h5").as_slice()),
        ("external-link.h5", include_bytes!("external-link.h5")),
        ("soft-loop.h5", include_bytes!("soft-loop.h5")),
    ] {
        files.push((name, bytes.to_vec(), ""));
    }

    // RNNoise, and what is nothing at all.
    files.push(("rnnoise.txt", b"rnnoise-nu model file version 1\n42 24 0 1 2 3".to_vec(), "too early"));
    files.push(("rnnoise-range.txt", b"rnnoise-nu model file version 1\n42 24 0 300".to_vec(), "300"));
    files.push(("rnnoise-version.txt", b"rnnoise-nu model file version 2\n".to_vec(), "version"));
    files.push(("empty", Vec::new(), "no kind"));
    files.push(("noise", (0..100_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect(), "no kind"));

    let mut hostile: Vec<Hostile> = Vec::new();
    for (name, bytes, word) in files {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        hostile.push(Hostile { name: name.into(), path, map: None, word });
    }

    // Maps and folders of raw files.
    let map = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let plain =
        map("plain.toml", "layout = \"torch\"\n[input]\nwidth = 1\n[[layer]]\nkind = \"dense\"\nweight = \"a\"\n");
    for (name, filename, shape, word) in [
        ("raw-up", "../plain.toml", "[1, 1]", "same folder"),
        ("raw-absolute", "/etc/passwd", "[1, 1]", "same folder"),
        ("raw-huge", "a.bin", "[1000000000, 1000000000]", "shape"),
        ("raw-absent", "b.bin", "[1, 1]", "b.bin"),
    ] {
        let raw = folder.join(name);
        std::fs::create_dir(&raw).unwrap();
        std::fs::write(raw.join("a.bin"), [0; 4]).unwrap();
        std::fs::write(
            raw.join("manifest.json"),
            format!("{{\"a\": {{\"filename\": {filename:?}, \"shape\": {shape}}}}}"),
        )
        .unwrap();
        hostile.push(Hostile { name: name.into(), path: raw, map: Some(plain.clone()), word });
    }
    let odd = map(
        "odd.toml",
        "layout = \"torch\"\nsurprise = 1\n[input]\nwidth = 1\n[[layer]]\nkind = \"activation\"\nfunction = \"tanh\"\n",
    );
    hostile.push(Hostile {
        name: "map-key".into(),
        path: folder.join("units-contradict.json"),
        map: Some(odd),
        word: "",
    });
    hostile
}
