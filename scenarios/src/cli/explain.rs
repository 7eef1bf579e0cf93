//! `sigpool explain`.

use super::point_code::point_code;
use super::say;
use crate::check;
use crate::runner::RunError;
use crate::schema::FileKind;
use clap::ValueHint;
use enrp::daemon::query::{Admin, json};
use enrp::daemon::{self, DaemonError};
use sg::explain::{Explanation, Question, from_config};
use std::path::{Path, PathBuf};

/// Exit status: no routing key fits.
const NO_ROUTE: u8 = 1;

/// The message, whom to ask, and how to show it.
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// Originating point code: 4715, 0x126b, 2-77-3 (ITU), ansi:251-4-2, china:1-2-3.
    #[arg(long, value_name = "PC", value_parser = point_code)]
    opc: u32,
    /// Destination point code, in the same ways.
    #[arg(long, value_name = "PC", value_parser = point_code)]
    dpc: u32,
    /// Signalling link selection.
    #[arg(long, value_name = "N", default_value_t = 0)]
    sls: u8,
    /// Circuit of an ISUP message: tells the circuit group, and so its owner.
    #[arg(long, value_name = "N")]
    cic: Option<u16>,
    /// Service indicator: 3 SCCP, 5 ISUP.
    #[arg(long, value_name = "N", default_value_t = 5)]
    si: u8,
    /// Network indicator: 0 international, 2 national.
    #[arg(long, value_name = "N", default_value_t = 2)]
    ni: u8,
    /// Network Appearance that the message comes with.
    #[arg(long, value_name = "N")]
    network: Option<u32>,
    /// Admin address of a running gateway as its configuration has it: ADDRESS:PORT or unix:/path.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "config", required_unless_present = "config")]
    admin: Option<String>,
    /// A gateway's configuration alone: its routing keys; it knows no controllers.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// Says what becomes of the message: 0 a routing key fits, 1 none does.
pub(super) fn explain(args: &ExplainArgs) -> Result<u8, RunError> {
    let ExplainArgs { opc, dpc, sls, cic, si, ni, network, .. } = *args;
    let question = Question { opc, dpc, sls, cic, si, ni, network };
    question.check().map_err(|error| RunError::Usage(format!("--{}: {}", error.key, error.problem)))?;
    let answer = match (&args.admin, &args.config) {
        (Some(admin), _) => ask(admin, &question)?,
        (None, Some(file)) => from_config(&configuration(file)?, question),
        (None, None) => return Err(RunError::Usage("give --admin or --config".to_owned())),
    };
    let text = if args.json {
        serde_json::to_value(&answer)
            .map_err(|error| RunError::Environment(error.to_string()))
            .and_then(|value| Ok(json(&value)?))?
    } else {
        answer.to_string()
    };
    say(text.trim_end());
    Ok(if answer.found { 0 } else { NO_ROUTE })
}

fn ask(admin: &str, question: &Question) -> Result<Explanation, RunError> {
    let admin = Admin::new("a gateway", admin, None)?;
    let body = serde_json::to_string(question).map_err(|error| RunError::Environment(error.to_string()))?;
    let answer = admin.post("/command/explain", &body)?;
    serde_json::from_value(answer).map_err(|_| admin.strange().into())
}

fn configuration(file: &Path) -> Result<sg::Config, RunError> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| RunError::of_file(file, &error, "give the configuration of a gateway"))?;
    let name = file.display().to_string();
    check::check_text(&text, &name, FileKind::Sg).map_err(|problems| RunError::Usage(problems.join("\n")))?;
    Ok(daemon::parse(&text, &name)?)
}

impl From<DaemonError> for RunError {
    fn from(error: DaemonError) -> Self {
        match error {
            DaemonError::Config(problem) => Self::Usage(problem),
            DaemonError::Environment(problem) => Self::Environment(problem),
            DaemonError::Internal(_) => Self::Environment(error.to_string()),
        }
    }
}
