//! Requests to one address: what to retry, how long to wait before a retry, and when to give up.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::time::Duration;

use super::answer::{Head, Version};
use super::refusal::{self, HubRefusal};
use super::{Body, Broken, HttpRequest, Web, address};
use crate::error::{Error, Result};

/// Attempts in a row without progress before giving up.
const TRIES: u32 = 6;
/// Attempts after a 403. The first retry already renews an expired signature.
const TRIES_FORBIDDEN: u32 = 3;
/// Start of a transport's message about an untrusted certificate. It is not retried: the certificate will not change.
pub(super) const UNTRUSTED: &str = "the server's certificate is not trusted";
const FIRST_DELAY: Duration = Duration::from_millis(500);
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// Milliseconds between two notices of broken connections. All open connections tend to break together.
const QUIET: f64 = 5000.0;

/// One address, the state of the file there, and how its server behaves. Every request goes to this address, not to the
/// target of an earlier redirect, because such targets expire.
pub(super) struct RemoteConnection {
    pub web: Web,
    pub url: String,
    /// The file's name in messages.
    pub name: String,
    /// Whether to expect that the server honours `Range`.
    pub ranges: Cell<bool>,
    /// Whether a range request got no response but a request for the whole file did, either because of a preflight or by
    /// chance.
    pub unproven: Cell<bool>,
    /// The file's size once it is known, unless the body is compressed in transit.
    pub size: Cell<Option<u64>>,
    /// The version in the first response.
    pub version: RefCell<Option<Version>>,
    /// Whether a 403 fails at once instead of being retried, because the caller has something else to try.
    pub hasty: bool,
}

/// Why a request failed.
pub(super) enum Trouble {
    /// Worth a retry.
    Again(Again),
    /// Not worth a retry.
    Fail(Error),
}

/// A failure that may be temporary.
pub(super) struct Again {
    /// What is wrong, as part of a sentence.
    reason: String,
    /// How long the server asks to wait.
    wait: Option<Duration>,
    /// Number of attempts before giving up.
    tries: u32,
    /// Whether a connection broke, which is reported to the user.
    broke: bool,
    /// The final error, if it should say more than that all attempts failed.
    refusal: Option<Error>,
}

impl Again {
    /// A response that makes no sense.
    pub(super) fn odd(reason: impl Into<String>) -> Trouble {
        Trouble::Again(Self { reason: reason.into(), wait: None, tries: TRIES, broke: false, refusal: None })
    }

    /// A connection that ended early or was never established.
    pub(super) fn broken(reason: impl Into<String>) -> Trouble {
        let reason = reason.into();
        if reason.starts_with(UNTRUSTED) {
            return Trouble::Fail(Error::File(format!(
                "The connection is not safe: {reason}. If your network looks into connections, add its certificate to those \
                 of this computer."
            )));
        }
        Trouble::Again(Self { reason, wait: None, tries: TRIES, broke: true, refusal: None })
    }
}

impl RemoteConnection {
    pub(super) fn new(web: &Web, url: &str, name: &str) -> Self {
        Self {
            web: web.clone(),
            url: url.to_owned(),
            name: name.to_owned(),
            ranges: Cell::new(true),
            unproven: Cell::new(false),
            size: Cell::new(None),
            version: RefCell::new(None),
            hasty: false,
        }
    }

    /// Sends a request, after any wait that the server asked for.
    pub(super) async fn send(&self, range: Option<Range<u64>>) -> Result<(Head, Box<dyn Body>), Broken> {
        let patience = self.web.resume.get() - self.web.transport.now();
        if patience > 0.0 {
            self.web.transport.sleep(Duration::from_secs_f64(patience / 1000.0)).await;
        }
        let (url, token) = (self.url.clone(), self.web.token_for(&self.url));
        let request = HttpRequest { url, range, token };
        let response = self.web.transport.send(request).await?;
        Ok((Head::of(&response), response.body))
    }

    /// Accepts a 200 or a 206 of the known version, or of any version if none is known yet.
    pub(super) fn check(&self, head: &Head) -> Result<(), Trouble> {
        match head.status {
            200 | 206 => {
                // The length of a 206 is that of the part, not of the file.
                let size = if head.status == 206 { head.total } else { head.length };
                let resized = size.is_some_and(|size| self.size.get().is_some_and(|known| known != size));
                let known = self.version.borrow();
                if resized || known.as_ref().is_some_and(|known| known.differs(&head.version)) {
                    return Err(Trouble::Fail(self.changed()));
                }
                Ok(())
            }
            416 if head.total.is_none_or(|total| Some(total) != self.size.get()) => Err(Trouble::Fail(self.changed())),
            403 if head.code.is_none() && !self.hasty => Err(Trouble::Again(Again {
                reason: format!("{} refuses it (403)", self.host()),
                wait: head.wait,
                tries: TRIES_FORBIDDEN,
                broke: false,
                refusal: self.web.is_hub(&self.url).then(|| self.refused(head)),
            })),
            401 | 403 => Err(Trouble::Fail(self.refused(head))),
            404 | 410 => Err(Trouble::Fail(Error::Model(format!(
                "{} is not there (any more): {} answers {}. Check the name, or use another repository or address.",
                self.name,
                self.host(),
                head.status
            )))),
            status @ (408 | 416 | 425 | 429 | 500..=599) => Err(Trouble::Again(Again {
                reason: format!("{} answers {status}", self.host()),
                wait: head.wait,
                tries: TRIES,
                broke: false,
                refusal: None,
            })),
            status => Err(Trouble::Fail(Error::File(format!(
                "{} cannot be loaded: {} answers {status}. Check the address.",
                self.name,
                self.host()
            )))),
        }
    }

    /// The error for a refused request. The Hub refuses access to a whole repository at once.
    fn refused(&self, head: &Head) -> Error {
        if !self.web.is_hub(&self.url) {
            return Error::Model(refusal::elsewhere(&self.name, self.host(), head.status));
        }
        let subject = self.web.repo.as_deref().unwrap_or(&self.name);
        let page = self.web.repo.as_ref().map(|repo| format!("{}/{repo}", self.web.hub.trim_end_matches('/')));
        let refusal = HubRefusal {
            subject,
            page: page.as_deref().unwrap_or(self.host()),
            is_gated: head.code.as_deref() == Some("GatedRepo"),
            status: head.status,
            has_token: self.web.token_for(&self.url).is_some(),
            in_browser: cfg!(target_arch = "wasm32"),
        };
        Error::Model(refusal.sentence())
    }

    /// The error for a file that has changed.
    pub(super) fn changed(&self) -> Error {
        Error::Changed(format!("{} changed on the server while it was being loaded; load it again.", self.name))
    }

    /// The server's name.
    fn host(&self) -> &str {
        address::host(&self.url)
    }
}

/// Counts attempts in a row without progress, and doubles the wait before each.
#[derive(Default)]
pub(super) struct Patience {
    tries: u32,
}

impl Patience {
    /// Resets the count: bytes arrived.
    pub(super) fn progress(&mut self) {
        self.tries = 0;
    }

    /// Waits until the next attempt is due. `at` is the byte at which reading resumes.
    ///
    /// # Errors
    /// The failure is permanent, or this was the last attempt.
    pub(super) async fn again(&mut self, connection: &RemoteConnection, trouble: Trouble, at: u64) -> Result<()> {
        let again = match trouble {
            Trouble::Again(again) => again,
            Trouble::Fail(error) => return Err(error),
        };
        self.tries += 1;
        if self.tries >= again.tries {
            if let Some(refusal) = again.refusal {
                return Err(refusal);
            }
            return Err(Error::File(format!(
                "{} could not be loaded in {} tries: {}. Check the network and try again.",
                connection.name, self.tries, again.reason
            )));
        }
        let delay = (FIRST_DELAY * (1 << (self.tries - 1).min(16))).min(LONGEST_DELAY);
        let now = connection.web.transport.now();
        if let Some(wait) = again.wait.filter(|wait| *wait > delay) {
            // All requests that share this state wait, and the user is notified once.
            let resume = now + wait.as_secs_f64() * 1000.0;
            if resume > connection.web.resume.get() + 1000.0 {
                (connection.web.notices)(&format!("{} asks to wait {} s.", connection.host(), wait.as_secs()));
            }
            connection.web.resume.set(resume.max(connection.web.resume.get()));
            return Ok(());
        }
        if again.broke && now - connection.web.told.get() >= QUIET {
            connection.web.told.set(now);
            let place = if at == 0 { String::new() } else { format!(" at {:.0} MB", at as f64 / 1e6) };
            (connection.web.notices)(&format!("The connection broke; going on with {}{place}.", connection.name));
        }
        connection.web.transport.sleep(delay).await;
        Ok(())
    }
}
