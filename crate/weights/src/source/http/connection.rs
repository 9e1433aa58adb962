//! Requests for one address: what is worth another try, how long to wait before it, and when to give up.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::time::Duration;

use super::answer::{Head, Version};
use super::refusal::{self, HubRefusal};
use super::{Body, Broken, HttpRequest, Web, address};
use crate::error::{Error, Result};

/// Tries in a row that bring nothing before giving up.
const TRIES: u32 = 6;
/// Tries with a 403: an expired signature is renewed by the first of them.
const TRIES_FORBIDDEN: u32 = 3;
/// How a transport begins to tell of a certificate that nobody here vouches for: it will not be another one next time.
pub(super) const UNTRUSTED: &str = "the server's certificate is not trusted";
const FIRST_DELAY: Duration = Duration::from_millis(500);
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// Milliseconds in which a person is told only once of broken connections: all that are open break together.
const QUIET: f64 = 5000.0;

/// One address, what is known of the file there, and how its server behaves. Every request goes to this address and not
/// to where it once led, since that expires.
pub(super) struct RemoteConnection {
    pub web: Web,
    pub url: String,
    /// What to call the file in messages.
    pub name: String,
    /// Whether the server has to do as asked with `Range`.
    pub ranges: Cell<bool>,
    /// Whether a request for a part got no answer where one for the whole did: because of a preflight, or by chance.
    pub unproven: Cell<bool>,
    /// The file's size, once known, unless it is compressed on its way.
    pub size: Cell<Option<u64>>,
    /// The version that the first answer was of.
    pub version: RefCell<Option<Version>>,
    /// Whether a refusal is an answer, since something else is tried next.
    pub hasty: bool,
}

/// Why a request did not bring what it should.
pub(super) enum Trouble {
    /// Worth another try.
    Again(Again),
    /// Not worth one.
    Fail(Error),
}

/// Trouble that may pass.
pub(super) struct Again {
    /// What is wrong, as the part of a sentence.
    reason: String,
    /// How long the server asks to wait.
    wait: Option<Duration>,
    /// After how many tries to give up.
    tries: u32,
    /// Whether a connection broke, of which a person is told.
    broke: bool,
    /// What to say in the end, where that is another thing than that it was tried in vain.
    refusal: Option<Error>,
}

impl Again {
    /// An answer that makes no sense.
    pub(super) fn odd(reason: impl Into<String>) -> Trouble {
        Trouble::Again(Self { reason: reason.into(), wait: None, tries: TRIES, broke: false, refusal: None })
    }

    /// A connection that ended early, or never came about.
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

    /// Makes a request, no sooner than the server asked.
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

    /// Accepts a 200 or a 206 of the version that is known, or of any while none is.
    pub(super) fn check(&self, head: &Head) -> Result<(), Trouble> {
        match head.status {
            200 | 206 => {
                // The length of a 206 is that of a part.
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

    /// The server says who may not have it. Of the Hub, that is all of a repository.
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

    /// The file is another one by now.
    pub(super) fn changed(&self) -> Error {
        Error::Changed(format!("{} changed on the server while it was being loaded; load it again.", self.name))
    }

    /// The server's name.
    fn host(&self) -> &str {
        address::host(&self.url)
    }
}

/// Counts tries in a row that brought nothing, and waits longer before each.
#[derive(Default)]
pub(super) struct Patience {
    tries: u32,
}

impl Patience {
    /// Something arrived.
    pub(super) fn progress(&mut self) {
        self.tries = 0;
    }

    /// Waits until another try makes sense; `at` is where it goes on.
    ///
    /// # Errors
    /// The trouble is of a lasting kind, or it is one try too many.
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
            // All requests to this server wait, and a person hears of it once.
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
