//! The one source of time: the machine's clock, and the form of a time claim (SPEC 4.4 key 9).
//!
//! Time is recorded and shown, never compared: no validity, order or expiry depends on what is read here.

#[cfg(feature = "desk")]
use std::sync::LazyLock;
#[cfg(feature = "desk")]
use std::time::Instant;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

use crate::core::rules::{Checked, Fault, Rule};

/// Seconds since 1970-01-01T00:00:00Z by the machine's clock; `None` when it stands before that.
#[allow(clippy::disallowed_methods)] // this is the one place
pub fn now_unix() -> Option<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(since.as_secs()).filter(|&seconds| seconds > 0)
}

/// Microseconds since this process first asked, by a clock that never goes back: for durations in metrics, and in nothing that is signed.
#[cfg(feature = "desk")]
#[allow(clippy::disallowed_methods)] // this is the one place
pub fn monotonic_us() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(BEGAN.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Reads a time claim: `none`, or RFC 3339 in whole seconds with `Z` or an offset, as `2026-03-01T12:00:00+01:00`; answers Unix seconds.
///
/// # Errors
/// `usage` with what was found: another form, a fraction, a date that is none, or a time before 1970-01-01T00:00:01Z.
pub fn parse_claim(text: &str) -> Checked<Option<u64>> {
    if text == "none" {
        return Ok(None);
    }
    let refuse = |reason: &str| {
        let found: String = text.chars().take(40).collect();
        Fault::new(Rule::Usage, format!("time {found:?}: {reason}; \"none\" or a time as 2026-03-01T12:00:00Z is expected"))
    };
    if !has_form(text.as_bytes()) {
        return Err(refuse("it is not RFC 3339 in whole seconds with Z or an offset"));
    }
    // jiff reads second 60 as 59; a claim says what its author typed or nothing.
    if &text[17..19] == "60" {
        return Err(refuse("second 60 cannot be claimed"));
    }
    let time: Timestamp = text.parse().map_err(|_| refuse("there is no such date or time"))?;
    match u64::try_from(time.as_second()) {
        Ok(seconds) if seconds >= 1 => Ok(Some(seconds)),
        _ => Err(refuse("it lies before 1970-01-01T00:00:01Z")),
    }
}

/// `dddd-dd-ddTdd:dd:dd` and `Z` or `±dd:dd`. jiff alone reads many more forms.
fn has_form(text: &[u8]) -> bool {
    let fits = |pattern: &[u8]| {
        text.len() == pattern.len()
            && text.iter().zip(pattern).all(|(&b, &p)| match p {
                b'd' => b.is_ascii_digit(),
                b'+' => b == b'+' || b == b'-',
                _ => b == p,
            })
    };
    fits(b"dddd-dd-ddTdd:dd:ddZ") || fits(b"dddd-dd-ddTdd:dd:dd+dd:dd")
}

/// A time in Unix seconds as RFC 3339 in UTC; `unix:<seconds>` beyond the year 9999.
pub fn show(unix: u64) -> String {
    let time = i64::try_from(unix).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| format!("unix:{unix}"), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_none_or_whole_seconds_with_an_offset() {
        assert_eq!(parse_claim("none"), Ok(None));
        // Seconds by `date -u -d 2026-03-01T12:00:00Z +%s`.
        assert_eq!(parse_claim("2026-03-01T12:00:00Z"), Ok(Some(1_772_366_400)));
        assert_eq!(parse_claim("2026-03-01T13:00:00+01:00"), Ok(Some(1_772_366_400)));
        assert_eq!(parse_claim("2026-03-01T06:30:00-05:30"), Ok(Some(1_772_366_400)));
        assert_eq!(parse_claim("1970-01-01T00:00:01Z"), Ok(Some(1)));
        assert_eq!(parse_claim("2024-02-29T00:00:00Z"), Ok(Some(1_709_164_800)));
    }

    #[test]
    fn a_claim_of_another_form_is_refused_with_what_was_found() {
        for bad in [
            "",
            "None",
            "now",
            "1772366400",
            "2026-03-01",
            "2026-03-01T12:00:00",
            "2026-03-01T12:00:00.5Z",
            "2026-03-01 12:00:00Z",
            "2026-03-01t12:00:00z",
            "2026-03-01T12:00Z",
            "2026-03-01T12:00:60Z",
            "2026-13-01T12:00:00Z",
            "2026-02-30T12:00:00Z",
            "2026-03-01T25:00:00Z",
            "2026-03-01T24:00:00Z",
            "2026-03-01T12:00:00+0100",
            "2026-03-01T12:00:00+99:00",
            "1970-01-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "٢٠٢٦-03-01T12:00:00Z",
            "2026-03-01T12:00:00Z[UTC]",
        ] {
            let fault = parse_claim(bad).expect_err(bad);
            assert_eq!(fault.rule, Rule::Usage, "{bad}");
            assert!(fault.found.contains(&format!("{bad:?}")), "{bad}: {fault}");
        }
    }

    #[test]
    fn times_are_shown_in_utc_and_read_again() {
        assert_eq!(show(1_772_366_400), "2026-03-01T12:00:00Z");
        assert_eq!(parse_claim(&show(1)), Ok(Some(1)));
        assert_eq!(show((1 << 53) - 1), "unix:9007199254740991");
        assert!(now_unix().is_some_and(|now| now > 1_700_000_000), "the machine's clock stands in the past");
    }
}
