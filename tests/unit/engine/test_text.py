from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.text import cut, redact, redact_start, single_line

TEXTS = st.text(st.characters(exclude_categories=("Cs",)))


@pytest.mark.parametrize(
    ("text", "limit", "result"),
    [("short", 5, "short"), ("longer", 5, "lo…"), ("ééé", 5, "é…"), ("☃☃", 5, "…"), ("abc", 2, "ab"), ("abc", 0, "")],
)
def test_cuts_between_characters(text: str, limit: int, result: str) -> None:
    assert cut(text, limit) == result


@given(TEXTS, st.integers(0, 40))
def test_cut_text_fits_and_is_a_prefix(text: str, limit: int) -> None:
    result = cut(text, limit)
    assert len(result.encode()) <= limit
    assert result == text or text.startswith(result.removesuffix("…"))


def test_default_limit_is_one_kibibyte() -> None:
    assert len(cut("é" * 2_000).encode()) in (1023, 1024)


def test_cut_mends_text_that_is_no_unicode() -> None:
    assert cut("a\ud800b") == "a?b"


@given(TEXTS)
def test_single_line_has_no_line_ends(text: str) -> None:
    result = single_line(text)
    assert len(result.splitlines()) <= 1
    assert result == result.strip()
    assert single_line(result) == result


def test_single_line_keeps_the_words() -> None:
    assert single_line(" a\r\n\tb\x00c  d ") == "a b c d"


def test_redacts_longest_first_and_overlapping_ones_whole() -> None:
    assert redact("token abcdef end", ["abc", "abcdef"]) == "token *** end"
    assert redact("token abcde end", ["abc", "cde"]) == "token *** end"
    assert redact("a secret a", ["a"]) == "*** secret ***"


def test_does_not_redact_its_own_mask() -> None:
    assert redact("key=s3cret", ["s3cret", "*"]) == "key=***"


def test_empty_secrets_hide_nothing() -> None:
    assert redact("text", [""]) == "text"


@pytest.mark.parametrize(
    "form",
    [
        lambda secret: secret,
        str.strip,
        lambda secret: quote(secret, safe=""),
        quote,
        quote_plus,
        json.dumps,
        lambda secret: json.dumps(secret, ensure_ascii=False),
        lambda secret: base64.b64encode(secret.encode()).decode(),
    ],
)
def test_redacts_the_forms_a_value_takes(form: object) -> None:
    secret = 'p&ss "wörd"/ä\\x\n'
    assert callable(form)
    shown = f"GET https://host/?q={form(secret)} failed"
    assert "***" in redact(shown, [secret])
    assert form(secret).strip('"') not in redact(shown, [secret])


@pytest.mark.parametrize("word", ["hunter2", "with a line end\n", "pässwörd"])
def test_redacts_what_the_base64_of_a_secrets_data_stands_for(word: str) -> None:
    data = base64.b64encode(word.encode()).decode()
    assert redact(f"sent {data}, got {word.strip()}", [data]) == "sent ***, got ***"


def test_a_secret_that_happens_to_be_base64_of_a_letter_or_of_bytes_hides_no_other_text() -> None:
    assert redact("a b c", [base64.b64encode(b"a").decode(), base64.b64encode(b"\xff\xfea b c").decode()]) == "a b c"


KEY = "-----BEGIN KEY-----\nabcdefgh12345\nzyxwvu98765==\n-----END KEY-----\n"


@pytest.mark.parametrize("secret", [KEY, KEY.replace("\n", "\r\n"), base64.b64encode(KEY.encode()).decode()])
def test_redacts_single_lines_of_a_secret_of_several(secret: str) -> None:
    assert redact("read:\n  zyxwvu98765==\r\n-----END KEY-----\nexit 1", [secret]) == "read:\n  ***\r\n***\nexit 1"
    assert redact("{\n  x\n}\n", ["{\n  }\n}"]) == "{\n  x\n}\n"


def test_redacts_a_value_in_lower_case_as_the_host_of_a_url_has_it() -> None:
    data = base64.b64encode(b"Hunter2!").decode()
    for secret in ("Hunter2-PW", data):
        assert redact(f"GET http://{secret.lower()}.example: refused", [secret]) == "GET http://***.example: refused"


@pytest.mark.parametrize(
    ("secret", "text", "shown"),
    [
        ("k" * 5 + "0123456789" * 50, "got " + "k" * 5 + "0123456789" * 5, "got ***"),
        ("a" * 5_000, "x" + "a" * 4_000, "x***"),
        ("ab" * 5_000, "ab" * 2_000, "***"),
        ("secret-value", "value secret-value and secret-v", "value *** and ***"),
        ("secret-value", "value secret-va", "value ***"),
        ("secret-value", "value secr", "value secr"),
        ("secret-value", "secret-but another", "secret-but another"),
        ("aaaaaaaab", "aaaaaaaac" * 2_000, "aaaaaaaac" * 2_000),
    ],
)
def test_redacts_the_start_of_a_secret_where_a_text_was_cut(secret: str, text: str, shown: str) -> None:
    assert redact_start(text, [secret]) == shown


@given(st.lists(st.text("abc*", min_size=1, max_size=3), max_size=3), st.text("abc* ", max_size=20))
def test_no_secret_stays_between_the_masks(secrets: list[str], text: str) -> None:
    pieces = redact(text, secrets).split("***")
    if "*" not in text:
        assert not [piece for piece in pieces for secret in secrets if secret in piece]


@given(st.text(alphabet="ab", max_size=40), st.text(alphabet="ab", min_size=1, max_size=6))
def test_redacts_every_occurrence_also_of_what_repeats_itself(text: str, secret: str) -> None:
    covered = [
        any(text.startswith(secret, at) for at in range(max(0, place - len(secret) + 1), place + 1))
        for place in range(len(text))
    ]
    left = "".join(letter for letter, hidden in zip(text, covered, strict=True) if not hidden)
    assert redact(text, [secret]).replace("***", "") == left


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("a" * 30_000, "a" * 65_000),
        ("ab" * 15_000, "ab" * 32_000),
        ("a" * 30_000 + "b", "a" * 65_000),
        ("a" * 2_000, ("a" * 1_999 + "b") * 30),
        ("abcabcab", ("abc" * 200 + "x") * 100),
    ],
)
def test_redacting_takes_time_by_the_length_of_the_text(secret: str, text: str) -> None:
    started = time.process_time()
    redact(text, [secret])
    assert time.process_time() - started < 2.0
