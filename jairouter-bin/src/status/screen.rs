//! The same on a whole terminal, again and again.

use std::time::Duration;

use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Row, Table};
use tokio::time::Instant;

use super::rows::{COLUMNS, Picture};

/// How often the gateway is asked.
const AGAIN: Duration = Duration::from_secs(1);

/// The widths of the columns, but for the last, which has what is left.
const WIDTHS: [u16; 7] = [28, 13, 7, 22, 25, 22, 9];

/// Shows what `ask` says until somebody presses `q`.
pub(super) fn show(
    url: &str,
    mut ask: impl FnMut() -> Result<Picture, String>,
) -> Result<(), String> {
    // The first answer is waited for outside: a refusal belongs where it can be read.
    let mut picture = ask()?;
    let mut trouble = None;
    let mut terminal = ratatui::try_init().map_err(|error| no_terminal(&error))?;
    let shown = loop {
        let drawn = terminal.draw(|frame| draw(frame, url, &picture, trouble.as_deref()));
        if let Err(error) = drawn {
            break Err(no_terminal(&error));
        }
        match is_over(Instant::now() + AGAIN) {
            Ok(true) => break Ok(()),
            Ok(false) => {}
            Err(error) => break Err(no_terminal(&error)),
        }
        match ask() {
            Ok(news) => (picture, trouble) = (news, None),
            Err(why) => trouble = Some(why),
        }
    };
    ratatui::restore();
    shown
}

fn no_terminal(error: &std::io::Error) -> String {
    format!("the terminal cannot be used ({error}): --once prints without it")
}

/// Waits until then. Whether somebody has seen enough.
fn is_over(until: Instant) -> std::io::Result<bool> {
    while event::poll(until.saturating_duration_since(Instant::now()))? {
        if let Event::Key(key) = event::read()?
            && is_end(key)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_end(key: KeyEvent) -> bool {
    let is_interrupt =
        key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    let is_quit = matches!(key.code, KeyCode::Char('q') | KeyCode::Esc);
    key.kind == KeyEventKind::Press && (is_interrupt || is_quit)
}

fn draw(frame: &mut Frame<'_>, url: &str, picture: &Picture, trouble: Option<&str>) {
    let [top, middle, bottom] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Fill(1),
        Constraint::Length(picture.failures.len() as u16 + 1),
    ])
    .areas(frame.area());
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let title = Line::styled(format!("{} at {url}  (q ends)", picture.title), bold);
    let trouble = trouble.map_or_else(Line::default, |why| {
        Line::styled(format!("not heard of since: {why}"), Style::new().fg(Color::Red))
    });
    frame.render_widget(Paragraph::new(vec![title, trouble]), top);

    let mut rows = Vec::new();
    for service in &picture.services {
        rows.push(Row::new([service.name.clone()]).style(bold));
        for row in &service.rows {
            let color = if row.is_unwell { Color::Red } else { Color::Reset };
            rows.push(Row::new(row.cells.clone()).style(Style::new().fg(color)));
        }
    }
    let widths = WIDTHS.map(Constraint::Length).into_iter().chain([Constraint::Fill(1)]);
    let header = Row::new(COLUMNS).style(Style::new().add_modifier(Modifier::DIM));
    frame.render_widget(Table::new(rows, widths).header(header), middle);

    let mut failures = vec![Line::styled("recent failures", bold)];
    failures.extend(picture.failures.iter().map(|line| Line::raw(line.as_str())));
    frame.render_widget(Paragraph::new(failures), bottom);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::rows::tests::said;
    use super::*;

    fn drawn(width: u16, height: u16, trouble: Option<&str>) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let picture = Picture::of(&said());
        terminal.draw(|frame| draw(frame, "http://h", &picture, trouble)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn everything_is_on_the_screen_and_a_small_one_is_no_trouble() {
        let screen = drawn(160, 20, Some("no answer"));
        for part in [
            "configuration 3",
            "not heard of since: no answer",
            "chat (random)",
            "gpu-2",
            "half-open",
            "recent failures",
            "502",
        ] {
            assert!(screen.contains(part), "no {part} in\n{screen}");
        }
        for (width, height) in [(1, 1), (20, 3), (60, 5)] {
            drawn(width, height, None);
        }
    }

    #[test]
    fn q_and_ctrl_c_end_it() {
        let key = |code, modifiers| is_end(KeyEvent::new(code, modifiers));
        assert!(
            key(KeyCode::Char('q'), KeyModifiers::NONE) && key(KeyCode::Esc, KeyModifiers::NONE)
        );
        assert!(key(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert!(!key(KeyCode::Char('c'), KeyModifiers::NONE));
    }
}
