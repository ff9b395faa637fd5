//! Draws the live view: workers, rates, what runs, what failed.

use std::time::Duration;

use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, Row, Sparkline, Table};

use super::screen::Screen;
use crate::cli::render::local;
use crate::monitor::{Monitor, Seen, Task, Told};
use crate::settings::units::show_duration;

const KEYS: &str = "q quit  p pause  ↑↓ choose  r revoke  t terminate  e events of tasks on or off";

/// Rows of workers that are shown at most.
const MOST_WORKERS: u16 = 8;

/// Rows of failures that are shown at most.
const MOST_FAILURES: u16 = 6;

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &Screen, now: Timestamp) {
    let (monitor, now) = screen.shown(now);
    let painter = Painter { monitor, now, colours: screen.colours };
    let workers = rows(monitor.workers.len()).clamp(1, MOST_WORKERS) + 3;
    let failures = rows(monitor.failures.len()).clamp(1, MOST_FAILURES) + 2;
    let [head, top, rates, running, failed, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(workers),
        Constraint::Length(5),
        Constraint::Min(4),
        Constraint::Length(failures),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let [left, right] =
        Layout::horizontal([Constraint::Min(50), Constraint::Percentage(30)]).areas(top);
    frame.render_widget(painter.head(screen), head);
    painter.workers(frame, left);
    painter.sparkline(frame, right);
    painter.rates(frame, rates);
    painter.running(frame, running, screen);
    painter.failures(frame, failed);
    let foot_line = screen.question().map_or_else(
        || match screen.note.is_empty() {
            true => Line::from(KEYS).style(painter.dim()),
            false => Line::from(format!("{}  ·  {KEYS}", screen.note)),
        },
        |question| Line::from(question).style(painter.style(Color::Yellow).bold()),
    );
    frame.render_widget(foot_line, foot);
}

struct Painter<'a> {
    monitor: &'a Monitor,
    now: Timestamp,
    colours: bool,
}

impl Painter<'_> {
    fn style(&self, colour: Color) -> Style {
        if self.colours { Style::new().fg(colour) } else { Style::new() }
    }

    fn dim(&self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    fn table<'b>(&self, title: String, names: &[&'b str], widths: &[Constraint]) -> Table<'b> {
        let head = Row::new(names.to_vec()).style(Style::new().add_modifier(Modifier::BOLD));
        let none: [Row<'_>; 0] = [];
        Table::new(none, widths).header(head).block(Block::bordered().title(title))
    }

    fn head(&self, screen: &Screen) -> Line<'static> {
        let workers = self.monitor.workers.values();
        let alive = workers.filter(|seen| seen.is_alive(self.now)).count();
        let paused = if screen.is_paused() { "  ·  PAUSED" } else { "" };
        let heard = self.monitor.heard;
        Line::from(format!(
            "umbel events  ·  {}  ·  {alive} online  ·  {heard} events{paused}",
            screen.broker
        ))
        .style(self.style(Color::Cyan).bold())
    }

    fn workers(&self, frame: &mut Frame<'_>, area: Rect) {
        let names = ["WORKER", "STATE", "ACTIVE", "DONE", "LOAD", "SOFTWARE"];
        let widths = [
            Constraint::Min(16),
            Constraint::Length(7),
            Constraint::Length(6),
            Constraint::Length(9),
            Constraint::Length(6),
            Constraint::Length(16),
        ];
        let mut seen: Vec<(&String, &Seen)> = self.monitor.workers.iter().collect();
        // Those who are there first.
        seen.sort_by_key(|(_, seen)| !seen.is_alive(self.now));
        let hidden = seen.len().saturating_sub(inner(area, 1));
        let rows = seen.into_iter().map(|(name, seen)| {
            let (state, colour) = match seen.is_alive(self.now) {
                true => ("online", Color::Green),
                false => ("gone", Color::Red),
            };
            Row::new([
                name.clone(),
                state.to_owned(),
                told(seen.active),
                told(seen.processed),
                seen.load.map(|load| format!("{load:.2}")).unwrap_or_default(),
                seen.software.clone(),
            ])
            .style(self.style(colour))
        });
        let title = match hidden {
            0 => " Workers ".to_owned(),
            count => format!(" Workers, {count} more "),
        };
        frame.render_widget(self.table(title, &names, &widths).rows(rows), area);
    }

    fn sparkline(&self, frame: &mut Frame<'_>, area: Rect) {
        let ended = self.monitor.rates.ended();
        let width = usize::from(area.width.saturating_sub(2));
        let latest = ended[ended.len().saturating_sub(width)..].to_vec();
        let most = latest.iter().max().copied().unwrap_or_default();
        let title = format!(" Ended a second, at most {most} ");
        let line = Sparkline::default()
            .block(Block::bordered().title(title))
            .style(self.style(Color::Cyan))
            .data(latest);
        frame.render_widget(line, area);
    }

    fn rates(&self, frame: &mut Frame<'_>, area: Rect) {
        let rates = &self.monitor.rates;
        let names: Vec<&str> =
            std::iter::once("").chain(Told::ALL.iter().map(|told| told.word())).collect();
        let row = |name: &str, of: &dyn Fn(Told) -> String| {
            let cells = Told::ALL.into_iter().map(of);
            Row::new(std::iter::once(name.to_owned()).chain(cells).collect::<Vec<_>>())
        };
        let second = row("a second", &|told| format!("{:.1}", rates.rate(told)));
        let total = row("so far", &|told| rates.total(told).to_string());
        let mut widths = vec![Constraint::Length(9)];
        widths.extend(Told::ALL.map(|_| Constraint::Length(10)));
        let title = " Tasks ".to_owned();
        frame.render_widget(self.table(title, &names, &widths).rows([second, total]), area);
    }

    fn running(&self, frame: &mut Frame<'_>, area: Rect, screen: &Screen) {
        let running = self.monitor.running();
        let place = screen.place(&running);
        let visible = inner(area, 1).max(1);
        let first = place.unwrap_or_default().saturating_sub(visible - 1);
        let names = ["TASK", "ID", "WORKER", "FOR"];
        let widths = [
            Constraint::Min(20),
            Constraint::Length(36),
            Constraint::Min(16),
            Constraint::Length(9),
        ];
        let rows = running.iter().enumerate().skip(first).take(visible).map(|(at, task)| {
            let chosen = Some(at) == place;
            let style = if chosen { Modifier::REVERSED } else { Modifier::empty() };
            self.task(task).style(Style::new().add_modifier(style))
        });
        let waiting = self.monitor.waiting();
        let title = format!(" Running: {}, waiting: {waiting} ", running.len());
        let table = self.table(title, &names, &widths).rows(rows);
        frame.render_widget(table, area);
        if running.is_empty() && self.monitor.rates.total(Told::Received) == 0 {
            let hint = "no events of tasks so far; `e` has workers tell of them";
            let place = Rect { y: area.y + 2, x: area.x + 1, height: 1, width: area.width - 2 };
            frame.render_widget(Paragraph::new(hint).style(self.dim()), place.intersection(area));
        }
    }

    fn task(&self, task: &Task) -> Row<'static> {
        let name = if task.name.is_empty() { "?" } else { &task.name };
        let age = task.since.map(|since| self.now.duration_since(since).as_secs().max(0));
        let age = age.map(|age| show_duration(Duration::from_secs(age.unsigned_abs())));
        Row::new([name.to_owned(), task.id.clone(), task.worker.clone(), age.unwrap_or_default()])
    }

    fn failures(&self, frame: &mut Frame<'_>, area: Rect) {
        let title = format!(" Failed: {} ", self.monitor.rates.total(Told::Failed));
        let widths = [
            Constraint::Length(8),
            Constraint::Min(20),
            Constraint::Min(16),
            Constraint::Percentage(50),
        ];
        let rows = self.monitor.failures.iter().take(inner(area, 0)).map(|failure| {
            let name = if failure.name.is_empty() { &failure.id } else { &failure.name };
            // The time of the day is enough.
            let at = local(failure.at).split_off(11);
            Row::new([at, name.clone(), failure.worker.clone(), failure.exception.clone()])
                .style(self.style(Color::Red))
        });
        let table = Table::new(rows, widths).block(Block::bordered().title(title));
        frame.render_widget(table, area);
    }
}

fn rows(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

/// Rows inside a border, below its heads.
fn inner(area: Rect, heads: u16) -> usize {
    usize::from(area.height.saturating_sub(2 + heads))
}

fn told(number: Option<u64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use umbel_value::{Map, Value};

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn hear(screen: &mut Screen, json: &str) {
        let event: Map = match Value::from_json(json.as_bytes()) {
            Ok(Value::Map(event)) => event,
            other => panic!("{other:?}"),
        };
        screen.hear(&event, NOW);
    }

    fn drawn(screen: &Screen, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("it has no size");
        terminal.draw(|frame| draw(frame, screen, NOW)).expect("memory can be drawn on");
        terminal.backend().to_string()
    }

    fn scene() -> Screen {
        let mut screen = Screen::new("redis://h/0".to_owned(), true, false, NOW);
        hear(
            &mut screen,
            r#"{"type": "worker-heartbeat", "hostname": "umbel@lab", "freq": 2.0, "active": 1,
                "processed": 41, "loadavg": [0.5, 0, 0], "sw_ident": "umbel", "sw_ver": "0.1.0"}"#,
        );
        hear(&mut screen, r#"{"type": "worker-offline", "hostname": "python@lab", "freq": 2.0}"#);
        let of = r#""uuid": "6b593dd5-4076-3c05-b202-ac44ae71d1ec", "hostname": "umbel@lab""#;
        hear(&mut screen, &format!(r#"{{"type": "task-received", "name": "images.make", {of}}}"#));
        hear(&mut screen, &format!(r#"{{"type": "task-started", "timestamp": -75.0, {of}}}"#));
        hear(
            &mut screen,
            r#"{"type": "task-failed", "uuid": "x", "hostname": "umbel@lab",
                "exception": "ValueError('no\u001b[2J such thing')"}"#,
        );
        screen
    }

    #[test]
    fn workers_tasks_and_failures_are_shown() {
        let text = drawn(&scene(), 120, 30);
        for part in [
            "redis://h/0  ·  1 online  ·  5 events",
            "umbel@lab",
            "umbel 0.1.0",
            "gone",
            "Running: 1, waiting: 0",
            "images.make",
            "6b593dd5-4076-3c05-b202-ac44ae71d1ec",
            "1m15s",
            "Failed: 1",
            "such thing",
            "q quit",
        ] {
            assert!(text.contains(part), "no `{part}` in:\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_question_takes_the_place_of_the_keys() {
        let mut screen = scene();
        let key = crossterm::event::KeyCode::Char('t').into();
        screen.press(key, NOW);
        let text = drawn(&screen, 120, 30);
        assert!(text.contains("stop 6b593dd5-4076-3c05-b202-ac44ae71d1ec now? [y/N]"), "{text}");
    }

    #[test]
    fn any_size_can_be_drawn() {
        for (width, height) in [(1, 1), (2, 3), (20, 5), (80, 24), (300, 100)] {
            drawn(&scene(), width, height);
            drawn(&Screen::new(String::new(), false, false, NOW), width, height);
        }
    }
}
