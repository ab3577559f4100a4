//! Many unreadable pushes offered again or dropped, step by step: first what would be done, then,
//! once a person agrees, that and no more.

use crate::admin::unreadable::{BoxRequest, BoxStep};
use crate::cli::Exit;
use crate::cli::interrupt::Interrupt;
use crate::cli::printer::{Printer, counted};
use crate::cli::reader::{Emptying, Reader};
use crate::cli::steps::{self, Pass, Total};

/// All the steps of one change.
pub(super) struct Run<'a> {
    pub(super) reader: &'a Reader,
    pub(super) what: Emptying,
    pub(super) request: BoxRequest,
    pub(super) interrupt: Interrupt,
}

impl Run<'_> {
    pub(super) async fn run(&mut self, yes: bool, printer: &mut Printer) -> anyhow::Result<Exit> {
        if yes || self.request.dry_run {
            return self.carry_out(None, printer).await;
        }
        self.request.dry_run = true;
        let ahead = self.all_steps(Pass::Count, printer).await;
        self.request.dry_run = false;
        let ahead = ahead?;
        if ahead.interrupted {
            printer.note("interrupted: nothing was changed")?;
            return Ok(Exit::Failed);
        }
        // What was counted is what is changed, whatever comes in meanwhile.
        self.request.upto = ahead.upto;
        if ahead.changed > 0
            && let Some(exit) = self.agreed(&ahead, printer).await?
        {
            return Ok(exit);
        }
        self.carry_out(Some(ahead.changed), printer).await
    }

    async fn carry_out(&mut self, of: Option<u64>, printer: &mut Printer) -> anyhow::Result<Exit> {
        let total = self.all_steps(Pass::Show(of), printer).await?;
        self.tell(&total, printer)
    }

    /// Takes every step, until it is interrupted.
    async fn all_steps(&mut self, pass: Pass, printer: &mut Printer) -> anyhow::Result<Total> {
        let mut request = self.request.clone();
        let mut total = Total::default();
        loop {
            let step = match self.reader.empty(self.what, &request).await {
                Ok(step) => step,
                Err(error) if total.changed == 0 || request.dry_run => return Err(error),
                Err(error) => return Err(error.context(self.done(&total) + " before this")),
            };
            let changed = (step.changed, step.commands);
            total.add(changed, &step.skipped, step.upto);
            self.show(&step, pass, printer)?;
            request.cursor = step.next_cursor;
            if request.cursor.is_none() {
                return Ok(total);
            }
            printer.progress(&pass.so_far(total.changed, &self.done(&total)))?;
            if self.interrupt.came() {
                total.interrupted = true;
                return Ok(total);
            }
        }
    }

    fn show(&self, step: &BoxStep, pass: Pass, printer: &mut Printer) -> anyhow::Result<()> {
        if pass == Pass::Count {
            return Ok(());
        }
        for item in &step.items {
            if printer.json() {
                printer.object(item)?;
            } else if self.request.dry_run || item.detail.is_some() {
                let detail = item.detail.as_ref().map(|detail| format!(": {detail}"));
                let detail = detail.unwrap_or_default();
                printer.one_line(&format!("{} {}{detail}", item.id, item.result))?;
            }
        }
        Ok(())
    }

    fn done(&self, total: &Total) -> String {
        let changed = total.changed;
        match (self.request.dry_run, self.what) {
            (true, Emptying::Offer) => format!("{changed} would be taken"),
            (true, Emptying::Drop) => format!("{changed} would be dropped"),
            (false, Emptying::Offer) => format!("{changed} taken"),
            (false, Emptying::Drop) => format!("{changed} dropped"),
        }
    }

    fn tell(&self, total: &Total, printer: &mut Printer) -> anyhow::Result<Exit> {
        let mut text = self.done(total);
        if total.commands > 0 {
            let commands = counted(total.commands, "command", "commands");
            text.push_str(&format!(", {commands} among them"));
        }
        text.push_str(&total.left_alone());
        if total.interrupted {
            text.push_str("; interrupted: the rest is as it was");
            if !self.request.dry_run {
                text.push_str("; the same again goes on");
            }
        }
        total.tell(&text, printer)
    }

    /// How the command ends now, unless a person agrees that it goes on.
    async fn agreed(
        &mut self,
        ahead: &Total,
        printer: &mut Printer,
    ) -> anyhow::Result<Option<Exit>> {
        let pushes = counted(ahead.changed, "push", "pushes");
        let told = match (self.what, ahead.commands) {
            (Emptying::Drop, _) => format!("{pushes} would be gone for good"),
            (Emptying::Offer, 0) => format!("{pushes} would become events now"),
            (Emptying::Offer, commands) => {
                let commands = counted(commands, "command", "commands");
                format!("{pushes} would become events now, {commands} among them")
            }
        };
        let kept = "nothing was changed";
        steps::agreed(&told, kept, printer, &mut self.interrupt).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::printer::tests::{captured, on_terminal};
    use crate::cli::tests::fake::Fake;

    const FIRST: &str =
        r#"{"changed":300,"skipped":{},"commands":0,"items":[],"upto":400,"next_cursor":"301"}"#;
    const LAST: &str =
        r#"{"changed":9,"skipped":{"unusable":1},"commands":0,"items":[],"upto":400}"#;

    fn offer(reader: &Reader, interrupt: Interrupt) -> Run<'_> {
        Run {
            reader,
            what: Emptying::Offer,
            request: BoxRequest {
                all: true,
                ..BoxRequest::default()
            },
            interrupt,
        }
    }

    #[tokio::test]
    async fn an_offer_of_many_shows_how_far_it_is() {
        let (fake, reader) = Fake::start().await;
        let (mut printer, out, err) = on_terminal(80, false);
        let mut run = offer(&reader, Interrupt::when(std::future::pending()));
        let (exit, _) = tokio::join!(
            run.run(true, &mut printer),
            fake.answer("POST /api/v1/unreadable/offer", &[FIRST, LAST])
        );
        assert_eq!(exit.unwrap(), Exit::Done);
        assert_eq!(out.text(), "309 taken; left alone: 1 unusable\n");
        assert_eq!(err.text(), "\r300 taken so far\u{1b}[K\r\u{1b}[K");
    }

    #[tokio::test]
    async fn an_interrupted_offer_of_many_says_how_far_it_came() {
        let (fake, reader) = Fake::start().await;
        let (mut printer, out, err) = captured(false);
        let mut run = offer(&reader, Interrupt::when(std::future::ready(())));
        let (exit, _) = tokio::join!(
            run.run(true, &mut printer),
            fake.answer("POST /api/v1/unreadable/offer", &[FIRST])
        );
        assert_eq!(exit.unwrap(), Exit::Failed);
        assert_eq!(
            out.text(),
            "300 taken; interrupted: the rest is as it was; the same again goes on\n"
        );
        assert_eq!(err.text(), "");
    }
}
