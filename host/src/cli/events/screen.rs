//! The state of the live view: what is known, what is chosen, and what each key does. Pure.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::Timestamp;
use umbel_value::Map;

use crate::monitor::{Monitor, Task};

/// What a key asks for beyond the view itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Quit,
    Revoke(String),
    Terminate(String),
    /// Events of tasks, or none of them.
    Tell(bool),
}

pub(super) struct Screen {
    /// Where the events come from.
    pub(super) broker: String,
    pub(super) colours: bool,
    monitor: Monitor,
    /// What is shown meanwhile, and since when.
    paused: Option<(Monitor, Timestamp)>,
    chosen: Option<String>,
    /// Where that was in the list, should it go.
    place: usize,
    /// The task that is to be terminated, if the answer is yes.
    asking: Option<String>,
    /// What became of the last wish.
    pub(super) note: String,
    /// Workers were asked to tell of their tasks, or not to.
    telling: bool,
}

impl Screen {
    pub(super) fn new(broker: String, colours: bool, telling: bool, now: Timestamp) -> Screen {
        Screen {
            broker,
            colours,
            monitor: Monitor::new(now),
            paused: None,
            chosen: None,
            place: 0,
            asking: None,
            note: String::new(),
            telling,
        }
    }

    pub(super) fn hear(&mut self, event: &Map, now: Timestamp) {
        self.monitor.hear(event, now);
    }

    /// Lets time pass.
    pub(super) fn tick(&mut self, now: Timestamp) {
        self.monitor.rates.advance(now);
    }

    /// What is to be shown, and as of when.
    pub(super) fn shown(&self, now: Timestamp) -> (&Monitor, Timestamp) {
        match &self.paused {
            Some((monitor, since)) => (monitor, *since),
            None => (&self.monitor, now),
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// The question that waits for a yes.
    pub(super) fn question(&self) -> Option<String> {
        let id = self.asking.as_ref()?;
        Some(format!("stop {id} now? [y/N]"))
    }

    /// Where the chosen task is among those that run.
    pub(super) fn place(&self, running: &[&Task]) -> Option<usize> {
        let last = running.len().checked_sub(1)?;
        let by_id = self.chosen.as_ref().and_then(|id| running.iter().position(|it| it.id == *id));
        Some(by_id.unwrap_or(self.place.min(last)))
    }

    /// What a key does; the wish that it comes to.
    pub(super) fn press(&mut self, key: KeyEvent, now: Timestamp) -> Option<Wish> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return matches!(key.code, KeyCode::Char('c' | 'd')).then_some(Wish::Quit);
        }
        if let Some(id) = self.asking.take() {
            self.note = String::new();
            return matches!(key.code, KeyCode::Char('y' | 'Y')).then_some(Wish::Terminate(id));
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Some(Wish::Quit),
            KeyCode::Char('p' | ' ') => self.pause(now),
            KeyCode::Down | KeyCode::Char('j') => self.choose(1, now),
            KeyCode::Up | KeyCode::Char('k') => self.choose(-1, now),
            KeyCode::PageDown => self.choose(10, now),
            KeyCode::PageUp => self.choose(-10, now),
            KeyCode::Char('r') => return self.chosen_task(now).map(Wish::Revoke),
            KeyCode::Char('t') => self.asking = self.chosen_task(now),
            KeyCode::Char('e') => {
                self.telling = !self.telling;
                return Some(Wish::Tell(self.telling));
            }
            _ => {}
        }
        None
    }

    fn pause(&mut self, now: Timestamp) {
        self.paused = match self.paused.take() {
            Some(_) => None,
            None => Some((self.monitor.clone(), now)),
        };
    }

    fn choose(&mut self, step: isize, now: Timestamp) {
        let (monitor, _) = self.shown(now);
        let running = monitor.running();
        let Some(place) = self.place(&running) else { return };
        let place = match self.chosen {
            // The first one looks chosen from the start.
            None if step == 0 => place,
            _ => place.saturating_add_signed(step).min(running.len() - 1),
        };
        let id = running[place].id.clone();
        (self.chosen, self.place) = (Some(id), place);
    }

    /// The id of the one that is chosen, which stays chosen.
    fn chosen_task(&mut self, now: Timestamp) -> Option<String> {
        self.choose(0, now);
        let (monitor, _) = self.shown(now);
        let running = monitor.running();
        let id = self.place(&running).map(|place| running[place].id.clone());
        if id.is_none() {
            self.note = "no task runs".to_owned();
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use umbel_value::Value;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn start(screen: &mut Screen, id: &str) {
        let fields = [("type", "task-started"), ("uuid", id), ("hostname", "w@lab")];
        let event = fields.map(|(key, text)| (key.to_owned(), Value::from(text)));
        screen.hear(&event.into_iter().collect(), NOW);
    }

    fn screen(ids: &[&str]) -> Screen {
        let mut screen = Screen::new("redis://h".to_owned(), false, false, NOW);
        ids.iter().for_each(|id| start(&mut screen, id));
        screen
    }

    fn press(screen: &mut Screen, keys: &str) -> Option<Wish> {
        let mut wish = None;
        for key in keys.chars() {
            wish = screen.press(KeyEvent::from(KeyCode::Char(key)), NOW);
        }
        wish
    }

    #[test]
    fn keys_come_to_wishes() {
        let of = |id: &str| id.to_owned();
        for (keys, expected) in [
            ("q", Some(Wish::Quit)),
            ("r", Some(Wish::Revoke(of("a")))),
            ("jr", Some(Wish::Revoke(of("b")))),
            ("jjjjjr", Some(Wish::Revoke(of("c")))),
            ("jjkr", Some(Wish::Revoke(of("b")))),
            ("kr", Some(Wish::Revoke(of("a")))),
            ("t", None),
            ("ty", Some(Wish::Terminate(of("a")))),
            ("tn", None),
            ("tq", None),
            ("e", Some(Wish::Tell(true))),
            ("ee", Some(Wish::Tell(false))),
            ("x", None),
        ] {
            assert_eq!(press(&mut screen(&["a", "b", "c"]), keys), expected, "{keys}");
        }
        for keys in ["r", "ty", "jr"] {
            assert_eq!(press(&mut screen(&[]), keys), None, "{keys}");
        }
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(screen(&[]).press(interrupt, NOW), Some(Wish::Quit));
    }

    #[test]
    fn the_chosen_task_stays_chosen_while_others_come() {
        let mut screen = screen(&["a", "b"]);
        press(&mut screen, "j");
        start(&mut screen, "c");
        assert_eq!(press(&mut screen, "r"), Some(Wish::Revoke("b".to_owned())));
    }

    #[test]
    fn a_paused_view_does_not_change() {
        let mut screen = screen(&["a"]);
        press(&mut screen, "p");
        start(&mut screen, "b");
        assert_eq!(screen.shown(NOW).0.running().len(), 1);
        press(&mut screen, "p");
        assert_eq!(screen.shown(NOW).0.running().len(), 2);
    }
}
