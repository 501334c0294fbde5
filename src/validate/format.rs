//! The forms in which a report is read: by programs, by GitHub, by whatever takes SARIF.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::finding::{Finding, Report};
use super::rule::{Rule, Severity};
use crate::record::Records;

/// The version of the program, as a SARIF report names it.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How much of a commit's name is shown, in letters.
const SHORT: usize = 10;

impl Report {
    /// The report as one JSON document.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let findings: Vec<Value> = self.findings.iter().map(Finding::to_json).collect();
        let counts: Map<String, Value> = self
            .counts
            .iter()
            .map(|(rule, count)| (rule.name().to_owned(), Value::from(*count)))
            .collect();
        json!({
            "base": self.base,
            "branch": self.branch,
            "counts": counts,
            "errors": self.count(Severity::Error),
            "files": self.files,
            "fleet": self.fleet.as_str(),
            "findings": findings,
            "merge_bases": self.merge_bases,
            "records": self.records.map(Records::as_str),
            "refs": self.refs,
            "total": self.total(),
            "warnings": self.count(Severity::Warning),
        })
    }

    /// The report as SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format").
    #[must_use]
    pub fn to_sarif(&self) -> Value {
        let rules: Vec<Value> = Rule::all().map(sarif_rule).collect();
        let results: Vec<Value> = self.findings.iter().map(Finding::to_sarif).collect();
        let driver = json!({ "name": "bus", "rules": rules, "semanticVersion": VERSION });
        json!({
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "runs": [{
                "columnKind": "unicodeCodePoints",
                "properties": { "total": self.total() },
                "results": results,
                "tool": { "driver": driver },
            }],
            "version": "2.1.0",
        })
    }

    /// The report as GitHub's workflow commands, one a finding (GitHub, "Workflow commands for
    /// GitHub Actions").
    #[must_use]
    pub fn to_annotations(&self) -> Vec<String> {
        self.findings.iter().map(Finding::to_annotation).collect()
    }

    /// What was found, in a few words.
    #[must_use]
    pub fn summary(&self) -> String {
        let many =
            |count: u64, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        let found = match (errors, warnings) {
            (0, 0) => "nothing is wrong".to_owned(),
            (errors, 0) => many(errors, "error"),
            (0, warnings) => many(warnings, "warning"),
            (errors, warnings) => {
                format!("{}, {}", many(errors, "error"), many(warnings, "warning"))
            }
        };
        let files = many(self.files as u64, if self.is_audit { "ref" } else { "file" });
        let since: Vec<&str> =
            self.merge_bases.iter().map(|base| base.get(..SHORT).unwrap_or(base)).collect();
        let mut text = match since.as_slice() {
            [] => format!("{found} in {files}"),
            since => format!("{found} in {files} that changed since {}", since.join(" and ")),
        };
        let shown = self.findings.len() as u64;
        if shown < self.total() {
            text.push_str(&format!(" (the first {shown} are shown)"));
        }
        text
    }
}

impl Finding {
    /// The finding as a line for people: `path:line:column: error: message [rule]`.
    #[must_use]
    pub fn to_line(&self) -> String {
        let place = match self.place {
            None => String::new(),
            Some(place) => match place.column {
                None => format!(":{}", place.line),
                Some(column) => format!(":{}:{column}", place.line),
            },
        };
        format!("{}{place}: {}: {} [{}]", self.path, self.severity, self.message, self.rule)
    }

    fn to_json(&self) -> Value {
        json!({
            "column": self.place.and_then(|place| place.column),
            "line": self.place.map(|place| place.line),
            "mend": self.rule.about().fix,
            "message": self.message,
            "path": self.path,
            "rule": self.rule.name(),
            "severity": self.severity.as_str(),
        })
    }

    fn to_sarif(&self) -> Value {
        let mut place =
            json!({ "artifactLocation": { "uri": uri(&self.path), "uriBaseId": "%SRCROOT%" } });
        if let Some(at) = self.place {
            place["region"] = json!({ "startLine": at.line });
            if let Some(column) = at.column {
                place["region"]["startColumn"] = Value::from(column);
            }
        }
        json!({
            "level": self.severity.as_str(),
            "locations": [{ "physicalLocation": place }],
            "message": { "text": format!("{}. To fix it: {}.", self.message, self.rule.about().fix) },
            "ruleId": self.rule.name(),
            "ruleIndex": self.rule as usize,
        })
    }

    fn to_annotation(&self) -> String {
        let mut properties = vec![("file", self.path.clone())];
        if let Some(place) = self.place {
            properties.push(("line", place.line.to_string()));
            properties.extend(place.column.map(|column| ("col", column.to_string())));
        }
        properties.push(("title", format!("bus: {}", self.rule)));
        let properties: Vec<String> = properties
            .into_iter()
            .map(|(name, value)| {
                format!("{name}={}", escape(&value).replace(':', "%3A").replace(',', "%2C"))
            })
            .collect();
        let message = format!("{}; to fix it: {}", self.message, self.rule.about().fix);
        format!("::{} {}::{}", self.severity, properties.join(","), escape(&message))
    }
}

fn sarif_rule(rule: Rule) -> Value {
    let about = rule.about();
    json!({
        "defaultConfiguration": { "level": about.severity.as_str() },
        "help": { "text": format!("To fix it: {}.\n\nBad: {}\n\nGood: {}", about.fix, about.bad, about.good) },
        "id": about.name,
        "shortDescription": { "text": about.summary },
    })
}

/// A failure that is no finding, as one of GitHub's workflow commands.
#[must_use]
pub fn annotation(message: &str) -> String {
    format!("::error title=bus::{}", escape(message))
}

/// Escapes what would end a workflow command.
fn escape(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A path as a relative URI reference (RFC 3986, sections 2.3 and 4.2).
fn uri(path: &str) -> String {
    const KEPT: AsciiSet =
        NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
    utf8_percent_encode(path, &KEPT).to_string()
}
