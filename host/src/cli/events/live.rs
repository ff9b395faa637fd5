//! The live view on a real terminal: draws, reads keys, and does what they ask for.

use std::time::Duration;

use anyhow::Context;
use crossterm::event::{Event, KeyEventKind};
use jiff::Timestamp;
use ratatui::DefaultTerminal;
use umbel_protocol::event;
use umbel_transport::broker::Listener;
use umbel_value::{Map, Value};

use super::screen::{Screen, Wish};
use super::{Stop, view};
use crate::cli::asking::Line;
use crate::fault::no_colour;
use crate::settings::Settings;

/// How often keys are looked for.
const LOOK: Duration = Duration::from_millis(50);

/// Looks after which the view is drawn again without a key.
const IDLE_LOOKS: u32 = 5;

/// How long telling workers something may take.
const TELLING: Duration = Duration::from_secs(5);

/// Shows the view until it is left; the terminal is as before then, whatever happened.
pub(super) async fn show(
    settings: &Settings,
    line: &Line,
    ears: Box<dyn Listener>,
    stop: Stop,
    telling: bool,
) -> anyhow::Result<()> {
    let broker = settings.broker.to_string();
    let screen = Screen::new(broker, !no_colour(), telling, Timestamp::now());
    let mut terminal = ratatui::try_init().context("cannot draw on this terminal")?;
    let ended = run(&mut terminal, line, ears, stop, screen).await;
    ratatui::try_restore().context("cannot give the terminal back")?;
    ended
}

async fn run(
    terminal: &mut DefaultTerminal,
    line: &Line,
    mut ears: Box<dyn Listener>,
    mut stop: Stop,
    mut screen: Screen,
) -> anyhow::Result<()> {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut idle = IDLE_LOOKS;
    loop {
        tokio::select! {
            () = stop.wanted() => return Ok(()),
            heard = ears.next() => {
                let Some(raw) = heard? else { return Ok(()) };
                let now = Timestamp::now();
                event::open(&raw).iter().for_each(|event| screen.hear(event, now));
                continue;
            }
            _ = looks.tick() => {}
        }
        idle += 1;
        while crossterm::event::poll(Duration::ZERO)? {
            idle = IDLE_LOOKS;
            let wish = match crossterm::event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => {
                    screen.press(key, Timestamp::now())
                }
                _ => None,
            };
            match wish {
                Some(Wish::Quit) => return Ok(()),
                Some(wish) => screen.note = fulfil(line, wish).await,
                None => {}
            }
        }
        if idle >= IDLE_LOOKS {
            idle = 0;
            let now = Timestamp::now();
            screen.tick(now);
            terminal.draw(|frame| view::draw(frame, &screen, now))?;
        }
    }
}

/// Tells the workers; says what was told.
async fn fulfil(line: &Line, wish: Wish) -> String {
    let ids = |id: &str| ("task_id".to_owned(), Value::from(vec![Value::from(id)]));
    let (command, arguments, said): (_, Map, _) = match &wish {
        Wish::Quit => return String::new(),
        Wish::Revoke(id) => ("revoke", [ids(id)].into_iter().collect(), format!("revoked {id}")),
        Wish::Terminate(id) => {
            let signal = ("signal".to_owned(), Value::from("SIGTERM"));
            ("terminate", [ids(id), signal].into_iter().collect(), format!("stopped {id}"))
        }
        Wish::Tell(true) => ("enable_events", Map::new(), "workers tell of their tasks".to_owned()),
        Wish::Tell(false) => {
            let said = "workers tell of their tasks no longer, but those with -E";
            ("disable_events", Map::new(), said.to_owned())
        }
    };
    match tokio::time::timeout(TELLING, line.order(command, arguments, &[])).await {
        Ok(Ok(())) => said,
        Ok(Err(error)) => format!("the workers were not told: {error}"),
        Err(_) => "the workers were not told: the broker does not answer".to_owned(),
    }
}
