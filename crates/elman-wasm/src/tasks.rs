//! The models of the five pictures: any trained model of a task.

use std::path::Path;

use elman::data::Matrix;
use elman::data::table::{Form, Table};
use elman::task::{self, Bitmap, Input, Model, Output, Predict, Prediction, Source, Stream};
use elman::{Error, Result};
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;

/// A trained model of any task but language models.
#[wasm_bindgen]
pub struct TaskModel {
    model: &'static dyn Model,
    stream: Option<Box<dyn Stream>>,
}

impl TaskModel {
    /// Opens a model file. It stays in memory as long as the page.
    ///
    /// # Errors
    /// A file that is not a model, or is damaged.
    pub fn open(name: &str, bytes: Vec<u8>) -> Result<TaskModel> {
        let model = task::open_loaded(&crate::loaded(name, bytes)?)?;
        Ok(TaskModel { model: Box::leak(model), stream: None })
    }

    fn predicted(&self, input: Input, options: &Predict) -> Result<Value> {
        Ok(self.model.predict(input, options)?.into_iter().map(|prediction| self.as_json(prediction)).collect())
    }

    fn as_json(&self, prediction: Prediction) -> Value {
        let mut value = match prediction.output {
            Output::Class { probabilities, words } | Output::Labels { probabilities, words } => {
                json!({"probabilities": probabilities, "words": words})
            }
            Output::Value(value) => json!({"value": value}),
            Output::Steps { probabilities, .. } => json!({"steps": probabilities}),
            Output::Texts { written, source } => {
                let of = |written: task::Written| json!({"text": written.text, "words": written.words, "log_prob": written.log_prob});
                let source = if let Source::Tokens(tokens) = source { json!(tokens) } else { Value::Null };
                json!({"texts": written.into_iter().map(of).collect::<Vec<_>>(), "source": source})
            }
        };
        value["labels"] = json!(self.model.labels());
        value["warning"] = json!(prediction.warning);
        value
    }

    /// Of a text, with what each word adds where it is classified, and the attention where it is translated.
    ///
    /// # Errors
    /// A model that does not read texts; a text that is empty.
    pub fn of_text(&self, text: &str) -> Result<Value> {
        let writes = self.model.task() == "translate";
        let options =
            Predict { explain: (!writes).then_some(true), attention: writes.then_some(true), ..Predict::default() };
        self.predicted(Input::Texts(&[text]), &options)
    }

    /// Of each row, series or sequence of a table.
    ///
    /// # Errors
    /// A model that does not read tables; a table without its columns.
    pub fn of_table(&self, table: &str) -> Result<Value> {
        let table = Table::parse(table.as_bytes(), Path::new("the table"), Form::default())?;
        self.predicted(Input::Table(&table), &Predict::default())
    }

    /// Of features, with the attention.
    ///
    /// # Errors
    /// Features of other dimensions.
    pub fn of_features(&self, dims: &[usize], values: &[f32]) -> Result<Value> {
        if dims.len() < 2 || dims.iter().product::<usize>() != values.len() {
            return Err(Error::Usage("the features do not have these dimensions".into()));
        }
        let matrix = Matrix { dims: dims.to_vec(), values: values.to_vec() };
        self.predicted(Input::Features(&matrix), &Predict { attention: Some(true), ..Predict::default() })
    }

    /// Of a grey image.
    ///
    /// # Errors
    /// An image of another size.
    pub fn of_image(&self, pixels: &[u8], height: usize, width: usize) -> Result<Value> {
        let image = Bitmap { pixels, height, width, channels: 1 };
        self.predicted(Input::Image(image), &Predict::default())
    }

    /// Begins a stream again.
    ///
    /// # Errors
    /// A model that does not answer step by step.
    pub fn begin(&mut self) -> Result<()> {
        self.stream = Some(self.model.stream()?);
        Ok(())
    }

    /// A step of a stream as a line of numbers: the label that is due and its probability; null where none is.
    ///
    /// # Errors
    /// A line that the model cannot read.
    pub fn step(&mut self, line: &str) -> Result<Value> {
        let Some(stream) = &mut self.stream else { return Err(Error::Usage("there is no stream".into())) };
        let found = stream.line(line.as_bytes(), Path::new("the stream"))?;
        let labels = self.model.labels();
        Ok(found.map_or(Value::Null, |found| json!([found.step, labels.get(found.class), found.probability])))
    }
}

fn text(value: Result<Value>) -> std::result::Result<String, JsError> {
    value.map(|value| value.to_string()).map_err(crate::thrown)
}

/// For the script.
#[wasm_bindgen]
impl TaskModel {
    /// See [`Self::open`].
    ///
    /// # Errors
    /// See [`Self::open`].
    #[wasm_bindgen(constructor)]
    pub fn new(name: &str, bytes: Vec<u8>) -> std::result::Result<TaskModel, JsError> {
        Self::open(name, bytes).map_err(crate::thrown)
    }

    /// Its task.
    pub fn task(&self) -> String {
        self.model.task().into()
    }

    /// See [`Self::of_text`].
    ///
    /// # Errors
    /// See [`Self::of_text`].
    #[wasm_bindgen(js_name = ofText)]
    pub fn of_text_js(&self, input: &str) -> std::result::Result<String, JsError> {
        text(self.of_text(input))
    }

    /// See [`Self::of_table`].
    ///
    /// # Errors
    /// See [`Self::of_table`].
    #[wasm_bindgen(js_name = ofTable)]
    pub fn of_table_js(&self, table: &str) -> std::result::Result<String, JsError> {
        text(self.of_table(table))
    }

    /// See [`Self::of_features`].
    ///
    /// # Errors
    /// See [`Self::of_features`].
    #[wasm_bindgen(js_name = ofFeatures)]
    pub fn of_features_js(&self, positions: usize, values: &[f32]) -> std::result::Result<String, JsError> {
        text(self.of_features(&[1, positions, values.len() / positions.max(1)], values))
    }

    /// See [`Self::of_image`].
    ///
    /// # Errors
    /// See [`Self::of_image`].
    #[wasm_bindgen(js_name = ofImage)]
    pub fn of_image_js(&self, pixels: &[u8], height: usize, width: usize) -> std::result::Result<String, JsError> {
        text(self.of_image(pixels, height, width))
    }

    /// See [`Self::begin`].
    ///
    /// # Errors
    /// See [`Self::begin`].
    #[wasm_bindgen(js_name = begin)]
    pub fn begin_js(&mut self) -> std::result::Result<(), JsError> {
        self.begin().map_err(crate::thrown)
    }

    /// See [`Self::step`].
    ///
    /// # Errors
    /// See [`Self::step`].
    #[wasm_bindgen(js_name = step)]
    pub fn step_js(&mut self, line: &str) -> std::result::Result<String, JsError> {
        text(self.step(line))
    }
}
