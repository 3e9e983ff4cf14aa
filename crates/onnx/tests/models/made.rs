//! Small models, written as the bytes that a file of ONNX has.

use std::path::Path;

use bartizan_onnx::{Digest, Settings};
use tempfile::TempDir;

/// The words that the tokenizer knows, and what each adds to the logits of `SAFE` and `INJECTION`.
pub(crate) const WORDS: [(&str, [f32; 2]); 10] = [
    ("[PAD]", [50.0, 50.0]),
    ("[UNK]", [0.0, 0.0]),
    ("[CLS]", [0.0, 0.0]),
    ("[SEP]", [0.0, 0.0]),
    ("the", [0.0, 0.0]),
    ("train", [1.0, 0.0]),
    ("leaves", [1.0, 0.0]),
    ("quietly", [0.0, 3.0]),
    ("wire", [0.0, 2.0]),
    ("money", [0.0, 2.0]),
];

/// What is added to both.
pub(crate) const BIAS: [f32; 2] = [3.0, 0.0];

pub(crate) fn number(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

pub(crate) fn int(field: u64, value: i64) -> Vec<u8> {
    [number(field << 3), number(value as u64)].concat()
}

pub(crate) fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    [number(field << 3 | 2), number(value.len() as u64), value.to_vec()].concat()
}

fn dims(sizes: &[i64]) -> Vec<u8> {
    sizes.iter().flat_map(|size| int(1, *size)).collect()
}

pub(crate) fn floats(name: &str, sizes: &[i64], values: &[f32]) -> Vec<u8> {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    [dims(sizes), int(2, 1), bytes(8, name.as_bytes()), bytes(9, &raw)].concat()
}

pub(crate) fn ints(name: &str, sizes: &[i64], values: &[i64]) -> Vec<u8> {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    [dims(sizes), int(2, 7), bytes(8, name.as_bytes()), bytes(9, &raw)].concat()
}

/// An attribute of one number.
pub(crate) fn with(name: &str, value: i64) -> Vec<u8> {
    bytes(5, &[bytes(1, name.as_bytes()), int(3, value), int(20, 2)].concat())
}

pub(crate) fn node(op: &str, inputs: &[&str], output: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|input| bytes(1, input.as_bytes())).collect();
    let name = bytes(3, format!("{op}/{output}").as_bytes());
    [inputs, bytes(2, output.as_bytes()), name, bytes(4, op.as_bytes()), attributes.concat()].concat()
}

/// An input or output with sizes, which are free where they are negative.
pub(crate) fn value(name: &str, kind: i64, sizes: &[i64]) -> Vec<u8> {
    let size = |(at, size): (usize, &i64)| match size {
        0.. => bytes(1, &int(1, *size)),
        _ => bytes(1, &bytes(2, format!("free{at}").as_bytes())),
    };
    let shape: Vec<u8> = sizes.iter().enumerate().flat_map(size).collect();
    let tensor = bytes(1, &[int(1, kind), bytes(2, &shape)].concat());
    [bytes(1, name.as_bytes()), bytes(2, &tensor)].concat()
}

/// The parts of a graph, each as it is in the file.
#[derive(Clone)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Vec<u8>>,
    pub(crate) tensors: Vec<Vec<u8>>,
    pub(crate) inputs: Vec<Vec<u8>>,
    pub(crate) outputs: Vec<Vec<u8>>,
}

impl Graph {
    /// Looks each token up, adds up those of the mask, and the bias: sums that anybody can check.
    pub(crate) fn new() -> Graph {
        let rows: Vec<f32> = WORDS.iter().flat_map(|(_, adds)| *adds).collect();
        let count = WORDS.len() as i64;
        Graph {
            nodes: vec![
                node("Gather", &["words", "input_ids"], "looked_up", &[with("axis", 0)]),
                node("Cast", &["attention_mask"], "there", &[with("to", 1)]),
                node("Unsqueeze", &["there", "last"], "there_for_each", &[]),
                node("Mul", &["looked_up", "there_for_each"], "masked", &[]),
                node("ReduceSum", &["masked", "middle"], "summed", &[with("keepdims", 0)]),
                node("Gemm", &["summed", "weights", "bias"], "logits", &[]),
            ],
            tensors: vec![
                floats("words", &[count, 2], &rows),
                ints("last", &[1], &[2]),
                ints("middle", &[1], &[1]),
                floats("weights", &[2, 2], &[1.0, 0.0, 0.0, 1.0]),
                floats("bias", &[2], &BIAS),
            ],
            inputs: ["input_ids", "attention_mask", "token_type_ids"].map(|name| value(name, 7, &[-1, -1])).to_vec(),
            outputs: vec![value("logits", 1, &[-1, 2])],
        }
    }

    pub(crate) fn file(&self) -> Vec<u8> {
        let each =
            |field: u64, parts: &[Vec<u8>]| parts.iter().flat_map(|part| bytes(field, part)).collect::<Vec<u8>>();
        let parts = [
            each(1, &self.nodes),
            bytes(2, b"made"),
            each(5, &self.tensors),
            each(11, &self.inputs),
            each(12, &self.outputs),
        ];
        [int(1, 8), bytes(7, &parts.concat()), bytes(8, &int(2, 13))].concat()
    }
}

/// A tokenizer of words in lower case, with a token before and one after each text.
pub(crate) fn tokenizer() -> String {
    let words: Vec<String> = WORDS.iter().enumerate().map(|(at, (word, _))| format!("\"{word}\": {at}")).collect();
    let special: Vec<String> = WORDS[..4]
        .iter()
        .enumerate()
        .map(|(id, (word, _))| {
            format!(
                r#"{{"id": {id}, "content": "{word}", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}}"#
            )
        })
        .collect();
    format!(
        r#"{{"version": "1.0", "truncation": {{"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0}},
            "padding": null, "added_tokens": [{}],
            "normalizer": {{"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true}},
            "pre_tokenizer": {{"type": "BertPreTokenizer"}},
            "post_processor": {{"type": "TemplateProcessing",
                "single": [{{"SpecialToken": {{"id": "[CLS]", "type_id": 0}}}}, {{"Sequence": {{"id": "A", "type_id": 0}}}}, {{"SpecialToken": {{"id": "[SEP]", "type_id": 0}}}}],
                "pair": [{{"Sequence": {{"id": "A", "type_id": 0}}}}, {{"Sequence": {{"id": "B", "type_id": 1}}}}],
                "special_tokens": {{"[CLS]": {{"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}}, "[SEP]": {{"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}}}}},
            "decoder": null,
            "model": {{"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "\#\#", "max_input_chars_per_word": 100, "vocab": {{{}}}}}}}"#,
        special.join(","),
        words.join(",")
    )
    .replace("\\#", "#")
}

pub(crate) const CONFIG: &str = r#"{"id2label": {"0": "SAFE", "1": "INJECTION"}, "max_position_embeddings": 512}"#;

/// A folder with a model, and the settings that pin it.
pub(crate) struct Folder {
    pub(crate) settings: Settings,
    folder: TempDir,
}

impl Folder {
    pub(crate) fn new(model: &[u8]) -> Folder {
        let folder = TempDir::new().unwrap();
        let settings = Settings { window: 16, ..Settings::new(folder.path(), Digest::of(&[])) };
        let mut made = Folder { settings, folder };
        made.write("model.onnx", model);
        made.write("tokenizer.json", tokenizer().as_bytes());
        made.write("config.json", CONFIG.as_bytes());
        made
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes one of the files, and pins what is there then.
    pub(crate) fn write(&mut self, name: &str, content: &[u8]) {
        std::fs::write(self.path().join(name), content).unwrap();
        self.pin();
    }

    pub(crate) fn remove(&mut self, name: &str) {
        std::fs::remove_file(self.path().join(name)).unwrap();
        self.pin();
    }

    fn pin(&mut self) {
        let names = ["model.onnx", "tokenizer.json", "config.json"];
        let files: Vec<_> =
            names.into_iter().filter_map(|name| Some((name, std::fs::read(self.path().join(name)).ok()?))).collect();
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, content)| (*name, content.as_slice())).collect();
        self.settings.digest = Digest::of(&files);
    }
}
