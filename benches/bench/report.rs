//! The report: Markdown to standard output, JSON to `target/bench/bench.json`.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::machine;
use crate::statistics::quartiles;

/// A number; if it is a median, with its quartiles.
#[derive(Clone, Copy)]
pub(crate) struct Figure {
    median: f64,
    between: Option<[f64; 2]>,
}

impl Figure {
    /// The median of values, with their quartiles.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let [low, median, high] = quartiles(values);
        Some(Self {
            median,
            between: Some([low, high]),
        })
    }

    /// A number that was measured or computed once.
    pub(crate) fn one(value: f64) -> Option<Self> {
        Some(Self {
            median: value,
            between: None,
        })
    }
}

/// A name, a unit (which may be empty), and the number of decimals.
type Column = (&'static str, &'static str, usize);

/// Rows of figures.
pub(crate) struct Table {
    part: &'static str,
    title: String,
    columns: Vec<Column>,
    rows: Vec<(String, Vec<Option<Figure>>)>,
    notes: Vec<String>,
}

impl Table {
    pub(crate) fn new(part: &'static str, title: impl Into<String>, columns: &[Column]) -> Self {
        Self {
            part,
            title: title.into(),
            columns: columns.to_vec(),
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds figures in the order of the columns; missing ones at the end stay empty.
    pub(crate) fn row(&mut self, name: impl Into<String>, figures: impl Into<Vec<Option<Figure>>>) {
        let mut figures = figures.into();
        figures.resize(self.columns.len(), None);
        self.rows.push((name.into(), figures));
    }

    /// Adds a sentence below the table.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    fn markdown(&self) -> String {
        let mut text = format!("\n### {}\n\n|", self.title);
        for (name, unit, _) in &self.columns {
            let unit = if unit.is_empty() {
                String::new()
            } else {
                format!(", {unit}")
            };
            write!(text, " | {name}{unit}").unwrap();
        }
        writeln!(text, " |\n|---|{}", "---:|".repeat(self.columns.len())).unwrap();
        for (name, figures) in &self.rows {
            write!(text, "| {name}").unwrap();
            for (figure, (.., digits)) in figures.iter().zip(&self.columns) {
                text.push_str(" | ");
                if let Some(Figure { median, between }) = figure {
                    write!(text, "{median:.digits$}").unwrap();
                    if let Some([low, high]) = between {
                        write!(text, " ({low:.digits$} to {high:.digits$})").unwrap();
                    }
                }
            }
            text.push_str(" |\n");
        }
        for note in &self.notes {
            write!(
                text,
                "\
        {note}\
        "
            )
            .unwrap();
        }
        text
    }

    fn json(&self) -> Value {
        let rows = self.rows.iter().map(|(name, figures)| {
            let mut fields = Map::new();
            for (figure, (column, unit, _)) in figures.iter().zip(&self.columns) {
                let Some(Figure { median, between }) = figure else {
                    continue;
                };
                let mut value = json!({ "value": median, "unit": unit });
                if let Some([low, high]) = between {
                    value["low"] = json!(low);
                    value["high"] = json!(high);
                }
                fields.insert((*column).to_owned(), value);
            }
            json!({ "name": name, "figures": fields })
        });
        json!({
            "part": self.part,
            "title": self.title,
            "rows": rows.collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

/// The results of a run. The file is rewritten with each addition.
pub(crate) struct Report {
    file: PathBuf,
    whole: Value,
}

impl Report {
    pub(crate) fn begin(file: PathBuf, versions: Value) -> Self {
        let machine = machine::describe();
        println!("{}", Value::Object(flat(&[&machine, &versions])));
        let whole = json!({
            "machine": machine,
            "versions": versions,
            "tables": [],
            "missing": [],
            "seconds": {},
        });
        Self { file, whole }
    }

    pub(crate) fn add(&mut self, table: &Table) {
        println!("{}", table.markdown());
        self.push("tables", table.json());
    }

    /// Reports something that this machine or this run could not measure.
    pub(crate) fn missing(&mut self, part: &str, figure: &str, why: &str) {
        println!("\n**Missing** in {part}: {figure}: {why}");
        self.push(
            "missing",
            json!({ "part": part, "what": figure, "why": why }),
        );
    }

    pub(crate) fn took(&mut self, part: &str, seconds: f64) {
        println!("({part}: {seconds:.0} s)");
        self.whole["seconds"][part] = json!(seconds.round());
        self.write();
    }

    fn push(&mut self, list: &str, value: Value) {
        self.whole[list].as_array_mut().unwrap().push(value);
        self.write();
    }

    fn write(&self) {
        fs::write(
            &self.file,
            serde_json::to_string_pretty(&self.whole).unwrap(),
        )
        .unwrap();
    }
}

fn flat(objects: &[&Value]) -> Map<String, Value> {
    objects
        .iter()
        .flat_map(|object| object.as_object().unwrap().clone())
        .collect()
}
