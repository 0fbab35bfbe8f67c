//! What an experiment says: tables for people, the same as CSV, and plots.

use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use crate::plot::Chart;

/// Rows of cells under a head.
#[derive(Debug, Clone, Default)]
pub struct Table {
    title: String,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of these columns.
    pub fn new<const N: usize>(title: impl Into<String>, head: [&str; N]) -> Self {
        Self {
            title: title.into(),
            rows: vec![head.iter().map(|name| (*name).to_owned()).collect()],
        }
    }

    /// One more row.
    pub fn row<const N: usize>(&mut self, cells: [&dyn Display; N]) {
        self.rows.push(cells.iter().map(ToString::to_string).collect());
    }

    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "\n{}\n", self.title)?;
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max();
        let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).enumerate();
            let cells = cells.map(|(nth, (cell, width))| match nth {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }

    fn csv(&self) -> String {
        self.rows.iter().map(|row| row.join(",") + "\n").collect()
    }
}

/// Where all of it goes.
pub struct Report<'a> {
    out: &'a mut dyn Write,
    folder: Option<PathBuf>,
}

impl<'a> Report<'a> {
    /// Tables to `out`, and files to a folder if there is one.
    pub fn new(out: &'a mut dyn Write, folder: Option<PathBuf>) -> Self {
        Self { out, folder }
    }

    /// A line of text.
    pub fn say(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// A table, and a file of it by this name.
    pub fn table(&mut self, name: &str, table: &Table) -> io::Result<()> {
        table.print(self.out)?;
        self.out.flush()?;
        self.write(&format!("{name}.csv"), &table.csv())
    }

    /// A plot in a file by this name.
    pub fn plot(&mut self, name: &str, chart: &Chart) -> io::Result<()> {
        self.write(&format!("{name}.svg"), &chart.svg()?)
    }

    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        fs::create_dir_all(folder)?;
        fs::write(folder.join(name), text)
    }
}
