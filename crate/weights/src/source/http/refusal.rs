//! Messages for a server that requires authentication.

/// A request that the Hub refused, and what is known of the reason.
pub(super) struct HubRefusal<'a> {
    /// The repository, or else the name of the file that was requested.
    pub subject: &'a str,
    /// The address of its page.
    pub page: &'a str,
    /// Whether the Hub reports the repository as gated: its licence must be accepted first.
    pub is_gated: bool,
    /// HTTP status of the response.
    pub status: u16,
    /// Whether the request carried a token.
    pub has_token: bool,
    /// Whether the request came from a web page, which never has a token.
    pub in_browser: bool,
}

impl HubRefusal<'_> {
    /// The message for the user.
    pub(super) fn sentence(&self) -> String {
        let Self { subject, page, status, .. } = self;
        match (self.is_gated, self.in_browser, self.has_token) {
            (true, true, _) => format!(
                "{subject} is gated: only those who are signed in and accepted its licence get its files, so it cannot be \
                 loaded in this page. Use a public model, or accept the licence at {page}, download the files there and open \
                 them from your disk."
            ),
            (true, false, true) => format!(
                "{subject} is gated, and the account of your token did not accept its licence: accept it at {page}, and load \
                 it again."
            ),
            (true, false, false) => format!(
                "{subject} is gated: only those who are signed in and accepted its licence get its files. Accept the licence \
                 at {page}, set HF_TOKEN to a token of your account, and load it again."
            ),
            (false, true, _) => format!(
                "{subject} cannot be had without signing in ({page} answers {status}), which this page does not do: the \
                 repository does not exist, is private or gated. Check its name, or use a public model."
            ),
            (false, false, true) => format!(
                "{subject} cannot be had with your token ({page} answers {status}): the repository does not exist, or the \
                 token may not read it or has expired. Check both, and whether its page asks to accept a licence."
            ),
            (false, false, false) => format!(
                "{subject} cannot be had without signing in ({page} answers {status}): the repository does not exist, is \
                 private, or asks to accept its licence. Check its name, accept the licence on its page if there is one, and \
                 set HF_TOKEN to a token that may read it."
            ),
        }
    }
}

/// The message for a file on another server.
pub(super) fn elsewhere(name: &str, host: &str, status: u16) -> String {
    format!(
        "{name} cannot be had without signing in ({host} answers {status}): sign in there in a browser, download the file and \
         open it from your disk, or use an address that needs no login."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_names_the_repository_and_what_to_do() {
        for bits in 0..8u8 {
            let [is_gated, in_browser, has_token] = [0, 1, 2].map(|bit| bits >> bit & 1 == 1);
            let (subject, page) = ("some/model", "https://hub.example/some/model");
            let refusal = HubRefusal { subject, page, is_gated, status: 401, has_token, in_browser };
            let sentence = refusal.sentence();
            let has = |words: &str| sentence.contains(words);
            assert!(sentence.starts_with("some/model ") && sentence.ends_with('.') && has(page), "{sentence}");
            assert_eq!(has("HF_TOKEN"), !in_browser && !has_token, "{sentence}");
            assert_eq!(has("public model"), in_browser, "{sentence}");
            assert!(has("licence") || (in_browser && !is_gated), "{sentence}");
        }
    }
}
