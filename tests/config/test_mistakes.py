# ruff: noqa: E501 - messages stand here in one line, as they are printed
"""Mistakes of users, each with the exact message: place, key path, expectation, finding, what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import load
from pipeline.errors import ConfigError

BASE = "name: x\nseeds: [https://a.example/]\npages:\n  p: {}\n"
RULE = "name: x\nseeds: [https://a.example/]\n"
ITEMS = "name: x\nseeds: [https://a.example/]\npages:\n  p:\n    items:\n"

MISTAKES: list[tuple[str, list[str]]] = [
    ("", ["x.yaml:1:1: expected a mapping of keys such as name, seeds and pages, found nothing"]),
    ("- a\n", ["x.yaml:1:1: expected a mapping of keys such as name, seeds and pages, found a list"]),
    ("name: [\n", ["x.yaml:2:1: this is not YAML: while parsing a flow node: did not find expected node content"]),
    (
        "name: x\n\tpages: {}\n",
        ["x.yaml:2:1: expected spaces as indent, found a tab; YAML wants spaces only"],
    ),
    (BASE + "vars:\n\ta: b\n", ["x.yaml:6:1: expected spaces as indent, found a tab; YAML wants spaces only"]),
    (BASE + "vars:\n  \ta: b\n", ["x.yaml:6:3: expected spaces as indent, found a tab; YAML wants spaces only"]),
    (ITEMS + "      - fields: {t: @x}\n", ["x.yaml:6:21: text that begins with '@' must be in quotes; write '@...'"]),
    (BASE + "vars: {a: `x}\n", ["x.yaml:5:11: text that begins with '`' must be in quotes; write '`...'"]),
    (BASE + "vars:\n  a: %x\n", ["x.yaml:6:6: text that begins with '%' must be in quotes; write '%...'"]),
    (BASE + "scope:\n  allow: [*.html]\n", ["x.yaml:6:11: text that begins with '*' must be in quotes; write '*...'"]),
    (BASE + "scope:\n  allow:\n    - > b\n", ["x.yaml:7:7: text that begins with '>' must be in quotes; write '>...'"]),
    (
        BASE + 'vars:\n  a: "b\n  c: d\n',
        ['x.yaml:6:6: expected a closing ", found the end of the file; the quote that is opened here is not closed'],
    ),
    (
        BASE + "vars:\n  a: 'b\n  c: 'd'\n",
        [
            "x.yaml:6:6: expected a closing ' in this line, found one in line 7 only; close the quote that is opened here"
        ],
    ),
    (
        BASE + "vars: {a: 'it's'}\n",
        [
            "x.yaml:5:15: expected nothing behind the closing ', found text; use quotes of the other kind around text with quotes in it"
        ],
    ),
    (
        BASE + 'vars: {a: "\\d+"}\n',
        [
            "x.yaml:5:12: expected an escape such as \\n, found \\d; in double quotes a backslash begins an escape; put regular expressions in single quotes"
        ],
    ),
    (
        BASE + "vars: {a: b\nscope: {}\n",
        [
            "x.yaml:5:7: expected '}' at the end of what begins here, found something else in line 6; close it; text with any of [ ] { } , : must be in quotes"
        ],
    ),
    (
        BASE + "vars:\n  a: [data-x]::text\n",
        ["x.yaml:6:14: expected nothing behind the closing bracket, found text; put text with brackets in quotes"],
    ),
    (BASE + "vars:\n  a: b: c\n", ["x.yaml:6:6: text with ': ' in it must be in quotes; write '...: ...'"]),
    (
        BASE + "vars:\n  a: b\n   c: d\n",
        [
            "x.yaml:7:4: expected no key here, since the line before has a value already; check the indent, and that a space stands behind the ':' in the line before"
        ],
    ),
    (
        BASE + "vars:\n    a: b\n  c: d\n",
        ["x.yaml:7:3: expected this line to fit in with those above; check the indent"],
    ),
    (
        BASE + "vars:\n\xa0\xa0a: b\n",
        ["x.yaml:6:1: expected spaces as indent, found others (no-break ones, perhaps); type them anew"],
    ),
    (
        BASE + "vars\nlimits: {}\n",
        [
            "x.yaml:5:1: expected a key and ':' here, found no ':'; text of several lines must be in quotes, or behind '|'"
        ],
    ),
    (BASE + "---\na: 1\n", ["x.yaml:5:1: expected one document, found a second one"]),
    (BASE + "vars: {a: *b}\n", ["x.yaml:5:11: alias *b has no anchor; if it is text, put it in quotes: '*b'"]),
    (BASE + "name: y\n", ["x.yaml:5:1: name: expected each key once, found 'name' again; the first is in line 1"]),
    (
        BASE + "limits: !!python/object/apply:os.system [x]\n",
        [
            "x.yaml:5:9: limits: expected no tag, found '!!python/object/apply:os.system'; remove it; text goes in quotes",
            "x.yaml:5:9: limits: expected a mapping, found a list",
        ],
    ),
    (
        BASE + "limits:\n  <<: [1]\n",
        ["x.yaml:6:8: limits.<<: expected a mapping or a list of mappings behind '<<', found a value"],
    ),
    (
        BASE + "? [a]\n: b\n",
        ["x.yaml:5:3: expected text as a key, found a list; a value that starts with '{' needs quotes"],
    ),
    (
        "seeds: []\n",
        ["x.yaml:1:1: name: expected this key, found nothing"],
    ),
    (
        "name: a b\npages: {p: {}}\n",
        ["x.yaml:1:7: name: expected a name of at most 100 letters, digits, '.', '_' and '-', found 'a b'"],
    ),
    (
        "name: ..\npages: {p: {}}\n",
        ["x.yaml:1:7: name: expected a name of at most 100 letters, digits, '.', '_' and '-', found '..'"],
    ),
    ("name: true\npages: {p: {}}\n", ['x.yaml:1:7: name: expected text, found true; did you mean "true" in quotes?']),
    ("name: x\npages: [a]\n", ["x.yaml:2:8: pages: expected a mapping, found a list"]),
    (BASE + "fliter: []\n", ["x.yaml:5:1: fliter: expected a known key, found 'fliter'; did you mean 'filter'?"]),
    (
        BASE + "delay: 1s\n",
        ["x.yaml:5:1: delay: expected a known key, found 'delay'; did you mean 'fetch.per_host.delay'?"],
    ),
    (
        BASE + "zzz: 1\n",
        [
            "x.yaml:5:1: zzz: expected a known key, found 'zzz'; known here: version, name, extends, vars, plugins, state_dir, workers, seeds, scope, fetch, limits, pages, parse, filter, store, checks, on_check_failure, if_locked, schedule, notify, archive, tests"
        ],
    ),
    (
        BASE + "fetch: {concurency: 3}\n",
        ["x.yaml:5:9: fetch.concurency: expected a known key, found 'concurency'; did you mean 'concurrency'?"],
    ),
    (
        BASE + "fetch:\n  delay: 5s\n",
        ["x.yaml:6:3: fetch.delay: expected a known key, found 'delay'; did you mean 'fetch.per_host.delay'?"],
    ),
    (
        BASE + "scope: {pages: 3}\n",
        ["x.yaml:5:9: scope.pages: expected a known key, found 'pages'; did you mean 'limits.pages'?"],
    ),
    (BASE + "version: 2\n", ["x.yaml:5:10: version: expected 1, the only version there is, found 2"]),
    (
        BASE + "fetch: {selector: epol}\n",
        [
            "x.yaml:5:19: fetch.selector: expected auto, epoll, kqueue, poll or select, found 'epol'; did you mean 'epoll'?"
        ],
    ),
    (
        BASE + "fetch: {per_host: {delay: 5}}\n",
        [
            "x.yaml:5:27: fetch.per_host.delay: expected a duration such as 500ms, 5s, 10m, 2h or 1d, found 5; did you mean '5s'?"
        ],
    ),
    (
        BASE + "fetch: {per_host: {delay: 5 sec}}\n",
        [
            "x.yaml:5:27: fetch.per_host.delay: expected a duration such as 500ms, 5s, 10m, 2h or 1d, found '5 sec'; did you mean '5s'?"
        ],
    ),
    (BASE + "fetch: {per_host: {jitter: 2}}\n", ["x.yaml:5:28: fetch.per_host.jitter: expected at most 1, found 2"]),
    (
        BASE + "fetch: {max_body: 16MB}\n",
        [
            "x.yaml:5:19: fetch.max_body: expected a size such as 64KiB, 8MiB or 2GiB, or a number of bytes, found '16MB'; did you mean '16MiB'?"
        ],
    ),
    (
        BASE + "fetch: {concurrency: '3'}\n",
        ["x.yaml:5:22: fetch.concurrency: expected a whole number, found '3'; write it without quotes"],
    ),
    (BASE + "fetch: {concurrency: 0}\n", ["x.yaml:5:22: fetch.concurrency: expected at least 1, found 0"]),
    (
        BASE + "fetch: {concurrency: 1_000}\n",
        ["x.yaml:5:22: fetch.concurrency: expected a whole number, found '1_000'; did you mean '1000'?"],
    ),
    (BASE + "fetch: {redirects: 1.5}\n", ["x.yaml:5:20: fetch.redirects: expected a whole number, found 1.5"]),
    (
        BASE + "fetch: {conditional: yes}\n",
        ["x.yaml:5:22: fetch.conditional: expected true or false, found 'yes'; did you mean 'true'?"],
    ),
    (
        BASE + "fetch: {retry: {on: [dnss, 200]}}\n",
        [
            "x.yaml:5:22: fetch.retry.on.0: expected dns, connect, tls, timeout, truncated or a status from 400 to 599, found 'dnss'",
            "x.yaml:5:28: fetch.retry.on.1: expected dns, connect, tls, timeout, truncated or a status from 400 to 599, found 200",
        ],
    ),
    (
        BASE + "fetch: {headers: {'a b': c}}\n",
        ["x.yaml:5:19: fetch.headers.a b: expected a header name (RFC 9110: letters, digits and '-'), found 'a b'"],
    ),
    (
        BASE + 'fetch: {headers: {A: "b\\nc"}}\n',
        ["x.yaml:5:22: fetch.headers.A: expected a header value in one line, found 'b\\nc'"],
    ),
    (BASE + "fetch: {headers: {Accept: [a]}}\n", ["x.yaml:5:27: fetch.headers.Accept: expected text, found a list"]),
    (
        BASE + "fetch: {proxy: 'ftp://u:p@h'}\n",
        [
            "x.yaml:5:16: fetch.proxy: expected a URL of a proxy: http://, https:// or socks5://, found a value that is not shown"
        ],
    ),
    (
        BASE + "fetch: {auth: {'https://a.example/x': {basic: 'u:p'}}}\n",
        [
            "x.yaml:5:16: fetch.auth.\"https://a.example/x\": expected an origin such as https://books.example (scheme, host and port only), found 'https://a.example/x'"
        ],
    ),
    (
        BASE + "fetch: {auth: {'https://a.example': {basic: 'u:p', bearer: t}}}\n",
        ['x.yaml:5:37: fetch.auth."https://a.example": expected basic or bearer, found a mapping'],
    ),
    (
        BASE + "fetch: {auth: {'https://a.example': {bearer: [t]}}}\n",
        ['x.yaml:5:46: fetch.auth."https://a.example".bearer: expected text, found a list'],
    ),
    (
        BASE + 'fetch: {headers: {Authorization: "a\\nb"}}\n',
        [
            "x.yaml:5:34: fetch.headers.Authorization: expected a header value in one line, found a value that is not shown"
        ],
    ),
    (
        BASE + "fetch: {timeout: {total: '${SECRET}'}}\n",
        [
            "x.yaml:5:26: fetch.timeout.total: expected a duration such as 500ms, 5s, 10m, 2h or 1d, found a value that is not shown"
        ],
    ),
    (
        BASE + "limits: {plugin_errors: 10}\n",
        ["x.yaml:5:25: limits.plugin_errors: expected a percentage such as 10%, found 10; did you mean '10%'?"],
    ),
    (BASE + "limits: {pages: 0}\n", ["x.yaml:5:17: limits.pages: expected at least 1, found 0"]),
    (BASE + "limits: 5\n", ["x.yaml:5:9: limits: expected a mapping, found 5"]),
    (BASE + "workers: many\n", ["x.yaml:5:10: workers: expected auto or a number from 0 to 1024, found 'many'"]),
    (
        BASE + "if_locked: wait\n",
        [
            "x.yaml:5:12: if_locked: expected fail, skip or wait=DURATION such as wait=10m, found 'wait'; did you mean 'wait=10m'?"
        ],
    ),
    (
        BASE + "schedule: daily\n",
        [
            "x.yaml:5:11: schedule: expected five parts: minute, hour, day of the month, month, day of the week, "
            "found 'daily'; did you mean '@daily'?"
        ],
    ),
    (
        BASE + "checks: items >= 1\n",
        ["x.yaml:5:9: checks: expected a list, found 'items >= 1'; write it as a list: [...]"],
    ),
    (
        "name: x\nseeds: https://a.example/\npages: {p: {}}\n",
        ["x.yaml:2:8: seeds: expected a list, found 'https://a.example/'; write it as a list: [...]"],
    ),
    (
        "name: x\nseeds: [a.example/x]\npages: {p: {}}\n",
        [
            "x.yaml:2:9: seeds.0: expected an http or https URL, found 'a.example/x'; did you mean 'https://a.example/x'?"
        ],
    ),
    (
        "name: x\nseeds: [http//x.example/, 'HTTPS:/x.example', /b/1.html, http:8080]\npages: {p: {}}\n",
        [
            "x.yaml:2:9: seeds.0: expected an http or https URL, found 'http//x.example/'; did you mean 'http://x.example/'?",
            "x.yaml:2:47: seeds.2: expected an http or https URL, found '/b/1.html'",
        ],
    ),
    (
        "name: x\nseeds: [{ulr: 'https://a.example/'}]\npages: {p: {}}\n",
        [
            "x.yaml:2:9: seeds.0: expected a url, or one component such as file, sitemap or feed, found a mapping; did you mean 'url'?"
        ],
    ),
    (
        "name: x\nseeds: [{url: 'https://a.example/', page: q}]\npages: {p: {}, pp: {}}\n",
        [
            "x.yaml:2:43: seeds.0.page: expected the name of a page rule, found 'q'; there are: p, pp",
            "x.yaml:3:16: pages.pp: expected a page rule that some URL comes to, found one behind 'p', which fits all "
            "URLs; put it before that one, or name it with 'page:' in a seed or follow",
        ],
    ),
    (
        "name: x\nseeds: [https://a.example/]\npages: {l: {match: /c/**}, d: {match: /c/*/x.html}, e: {match: '/c/b?p=*'}}\n",
        [
            "x.yaml:3:28: pages.d: expected a page rule that some URL comes to, found one behind 'l', which fits all its "
            "URLs (/c/**); put it before that one, or name it with 'page:' in a seed or follow",
            "x.yaml:3:53: pages.e: expected a page rule that some URL comes to, found one behind 'l', which fits all its "
            "URLs (/c/**); put it before that one, or name it with 'page:' in a seed or follow",
        ],
    ),
    (
        "name: x\nseeds: [{file: a}]\npages: {l: {match: '/*'}, d: {match: '/*/**'}, e: {match: /x/*.html}, f: {match: '*.htm'}}\n",
        [
            "x.yaml:3:48: pages.e: expected a page rule that some URL comes to, found one behind 'd', which fits all its "
            "URLs (/*/**); put it before that one, or name it with 'page:' in a seed or follow",
            "x.yaml:3:71: pages.f: expected a page rule that some URL comes to, found one whose glob '*.htm' fits no path; "
            "paths start with /, and * stays within a segment: **.html",
        ],
    ),
    (
        "name: x\nseeds: [{file: a}]\npages: {l: {match: '/*'}, d: {match: '/*/**'}, e: {match: /x**}}\n",
        [
            "x.yaml:3:48: pages.e: expected a page rule that some URL comes to, found one behind 'l', 'd', which together "
            "fit all its URLs; put it before that one, or name it with 'page:' in a seed or follow",
        ],
    ),
    (
        "name: x\nseeds: [{file: a, page: pq}]\npages: {p: {}}\n",
        ["x.yaml:2:25: seeds.0.page: expected the name of a page rule, found 'pq'; did you mean 'p'?"],
    ),
    (
        "name: x\nseeds: [{file: a, sitemap: b}]\npages: {p: {}}\n",
        ["x.yaml:2:9: seeds.0: expected a url, or one component such as file, sitemap or feed, found a mapping"],
    ),
    (
        "name: x\nseeds: [{url: 'https://a.example/', body: a, json: 1}]\npages: {p: {}}\n",
        ["x.yaml:2:9: seeds.0: expected body or json, found both"],
    ),
    (
        "name: x\nseeds: [{url: 'https://a.example/', method: PSOT}]\npages: {p: {}}\n",
        [
            "x.yaml:2:45: seeds.0.method: expected GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS, found 'PSOT'; did you mean 'POST'?"
        ],
    ),
    (
        "name: x\nseeds: [https://a.example/b]\npages: {p: {match: /c/**}}\n",
        [
            "x.yaml:2:9: seeds.0: expected a URL that some page rule matches, found one that none does; name one with 'page:', or widen a 'match'"
        ],
    ),
    (
        BASE + "scope: {allow_domains: ['*.a.example', 'https://b.example/']}\n",
        [
            "x.yaml:5:25: scope.allow_domains.0: expected a domain such as books.example, found '*.a.example'; did you mean 'a.example'?",
            "x.yaml:5:40: scope.allow_domains.1: expected a domain such as books.example, found 'https://b.example/'; did you mean 'b.example'?",
        ],
    ),
    (
        BASE + "scope: {allow: [catalogue/*], deny: ['re:(']}\n",
        [
            "x.yaml:5:17: scope.allow.0: expected a glob on the path such as /books/** or re:REGEX, found 'catalogue/*'; a glob is matched against the path and starts with / or *; for whole URLs write re:REGEX",
            "x.yaml:5:38: scope.deny.0: expected a glob on the path such as /books/** or re:REGEX, found 're:('; the regular expression does not compile: missing ), unterminated subpattern at position 0",
        ],
    ),
    (
        BASE + "scope: {order: bredth}\n",
        ["x.yaml:5:16: scope.order: expected breadth or depth, found 'bredth'; did you mean 'breadth'?"],
    ),
    (
        RULE + "pages:\n  p: {match: 're:['}\n",
        [
            "x.yaml:4:14: pages.p.match: expected a glob on the path such as /books/** or re:REGEX, found 're:['; the regular expression does not compile: unterminated character set at position 0"
        ],
    ),
    (
        RULE + "pages:\n  p: {parser: lxml, itmes: []}\n",
        [
            "x.yaml:4:15: pages.p.parser: expected auto, lexbor or soup, found 'lxml'",
            "x.yaml:4:21: pages.p.itmes: expected a known key, found 'itmes'; did you mean 'items'?",
        ],
    ),
    (
        RULE + "pages:\n  'a b': {}\n",
        ["x.yaml:4:3: pages.a b: expected a name of at most 100 letters, digits, '.', '_' and '-', found 'a b'"],
    ),
    (ITEMS + "      - each: a\n", ["x.yaml:6:9: pages.p.items.0.fields: expected this key, found nothing"]),
    (
        ITEMS + "      - fields: {}\n",
        ["x.yaml:6:17: pages.p.items.0.fields: expected at least one entry, found an empty mapping"],
    ),
    (
        ITEMS + "      - fields: {t: {type: int}}\n",
        [
            "x.yaml:6:21: pages.p.items.0.fields.t: expected one of css, xpath, json, jsonld, microdata, opengraph, meta, value, carry, url, first_of, join or fields, found a mapping"
        ],
    ),
    (
        ITEMS + "      - fields: {t: {css: a, xpath: b}}\n",
        ["x.yaml:6:21: pages.p.items.0.fields.t: expected one source of the value, found css and xpath"],
    ),
    (
        ITEMS + "      - fields: {t: {css: a, type: integer}}\n",
        [
            "x.yaml:6:36: pages.p.items.0.fields.t.type: expected str, int, float, decimal, bool, date, datetime, url, html or json, found 'integer'; did you mean 'int'?"
        ],
    ),
    (
        ITEMS + "      - fields: {t: {css: a, regex: '('}}\n",
        [
            "x.yaml:6:37: pages.p.items.0.fields.t.regex: expected a regular expression, found '('; it does not compile: missing ), unterminated subpattern at position 0"
        ],
    ),
    (
        ITEMS + "      - fields: {t: {css: a, requird: true}}\n",
        [
            "x.yaml:6:30: pages.p.items.0.fields.t.requird: expected a known key, found 'requird'; did you mean 'required'?"
        ],
    ),
    (
        ITEMS + "      - {key: [upd], fields: {upc: a}}\n",
        ["x.yaml:6:16: pages.p.items.0.key.0: expected a field of the item, found 'upd'; did you mean 'upc'?"],
    ),
    (
        ITEMS + "      - fields: {_url: a}\n",
        [
            "x.yaml:6:18: pages.p.items.0.fields._url: expected another field name: this one is kept for 'meta', found '_url'"
        ],
    ),
    (
        ITEMS + "      - fields: {t: ''}\n",
        ["x.yaml:6:21: pages.p.items.0.fields.t: expected text that is not empty, found ''"],
    ),
    (
        ITEMS + "      - fields: {t: {css: a, separator: x}}\n",
        [
            "x.yaml:6:21: pages.p.items.0.fields.t: expected 'separator' together with 'join' or 'many: true' only, found a mapping"
        ],
    ),
    (
        ITEMS + "      - fields: {t: {css: a, type: date, timezone: Mars/Base}}\n",
        [
            "x.yaml:6:52: pages.p.items.0.fields.t.timezone: expected a time zone such as Europe/Zurich, found 'Mars/Base'"
        ],
    ),
    (
        ITEMS + "      - fields: {t: {css: a, on_missing: drop}}\n",
        ["x.yaml:6:42: pages.p.items.0.fields.t.on_missing: expected fail, found 'drop'"],
    ),
    (
        ITEMS + "      - fields: {t: {css: [a]}}\n",
        ["x.yaml:6:27: pages.p.items.0.fields.t.css: expected text, found a list"],
    ),
    (
        RULE + "pages:\n  p:\n    follow: [{css: a, page: q}]\n",
        ["x.yaml:5:29: pages.p.follow.0.page: expected the name of a page rule, found 'q'; there are: p"],
    ),
    (
        RULE + "pages:\n  p:\n    follow: [{page: p}]\n",
        [
            "x.yaml:5:14: pages.p.follow.0: expected one of css, xpath, json, jsonld, microdata, opengraph, meta, value, first_of, join or number, found a mapping"
        ],
    ),
    (
        ITEMS
        + "      - fields:\n          title: #main h1\n          two:\n          three: # later\n          four: {first_of: [a, ~]}\n",
        [
            "x.yaml:7:11: pages.p.items.0.fields.title: expected a CSS selector, or a mapping such as {xpath: ...}, found nothing; in YAML a '#' begins a comment; put the value in quotes",
            "x.yaml:8:11: pages.p.items.0.fields.two: expected a CSS selector, or a mapping such as {xpath: ...}, found nothing",
            "x.yaml:9:11: pages.p.items.0.fields.three: expected a CSS selector, or a mapping such as {xpath: ...}, found nothing",
            "x.yaml:10:32: pages.p.items.0.fields.four.first_of.1: expected a CSS selector, or a mapping such as {xpath: ...}, found nothing",
        ],
    ),
    (
        ITEMS + "      - fields:\n          t:\n            css: #it's\n",
        [
            "x.yaml:7:11: pages.p.items.0.fields.t: expected one of css, xpath, json, jsonld, microdata, opengraph, meta, value, carry, url, first_of, join or fields, found a mapping; in YAML a '#' begins a comment; put the value in quotes"
        ],
    ),
    (
        RULE + "pages:\n  p:\n    follow:\n      -\n      - #next\n",
        [
            "x.yaml:6:8: pages.p.follow.0: expected a CSS selector of links, or a mapping such as {xpath: ...}, found nothing",
            "x.yaml:7:8: pages.p.follow.1: expected a CSS selector of links, or a mapping such as {xpath: ...}, found nothing; in YAML a '#' begins a comment; put the value in quotes",
        ],
    ),
    (
        RULE + "pages:\n  p:\n    follow: a.next\n",
        ["x.yaml:5:13: pages.p.follow: expected a list, found 'a.next'; write it as a list: [...]"],
    ),
    (
        BASE + "store:\n  -\n",
        ["x.yaml:6:4: store.0: expected the name of a component, perhaps with options, found nothing"],
    ),
    (
        "name: x\nseeds:\n  -\npages: {p: {}}\n",
        ["x.yaml:3:4: seeds.0: expected a url, or one component such as file, sitemap or feed, found nothing"],
    ),
    (BASE + "store: [{jsonl: a, csv: b}]\n", ["x.yaml:5:9: store.0: expected one component name, found jsonl and csv"]),
    (
        BASE + "store:\n  - jsonl: {path: a, write: replce}\n",
        [
            "x.yaml:6:29: store.0.jsonl.write: expected replace, merge or append, found 'replce'; did you mean 'replace'?"
        ],
    ),
    (
        BASE + "store: [{jsonl: {path: a, items: b}, items: c}]\n",
        ["x.yaml:5:9: store.0: expected 'items' once, found a mapping; it stands beside and among the options"],
    ),
    (
        BASE + "store: [jsonl: a, csv: ./a]\n",
        [
            "x.yaml:5:24: store.1.csv: expected a file that no other store writes, found './a' again; store.0.jsonl writes it"
        ],
    ),
    (
        BASE + "store:\n  - jsonl: {path: a, write: replace, only: new}\n",
        [
            "x.yaml:6:29: store.0.jsonl.write: expected 'append', or a path with {run.id}, together with 'only', found 'replace'; each run would remove what the last one wrote"
        ],
    ),
    (
        BASE + "store:\n  - sqlite: {path: 'a-{run.id}', write: merge, only: new}\n",
        [
            "x.yaml:6:41: store.0.sqlite.write: expected 'append', or a path with {run.id}, together with 'only', found 'merge'; each run would remove what the last one wrote"
        ],
    ),
    (
        ITEMS
        + "      - {type: a, fields: {t: b}}\n      - {type: b, fields: {t: b}}\nstore:\n  - csv: x.csv\n  - sqlite: {path: y, table: t}\n  - jsonl: {path: z, items: c}\n  - sqlite: {path: y, write: merge}\n",
        [
            "x.yaml:9:10: store.0.csv: expected one type of items for a CSV file, found a, b; add 'items: TYPE', and one entry for each type",
            "x.yaml:10:13: store.1.sqlite: expected one type of items for table t, found a, b; add 'items: TYPE', and one entry for each type",
            "x.yaml:11:29: store.2.jsonl.items: expected a type of items of a page rule, found 'c'; there are: a, b",
            "x.yaml:12:30: store.3.sqlite.write: expected items with a 'key' to merge by, found none for a, b; add 'key: [...]' to the item rule",
        ],
    ),
    (
        BASE + "fetch: {auth: {'https://u:hunter2@a.example': {bearer: t}}}\n",
        [
            "x.yaml:5:16: fetch.auth.\"https://...@a.example\": expected an origin such as https://books.example (scheme, host and port only), found 'https://...@a.example'"
        ],
    ),
    (
        BASE + "scope: {traps: {strip_params: [a]}}\n",
        [
            "x.yaml:5:17: scope.traps.strip_params: expected a known key, found 'strip_params'; did you mean 'scope.normalize.strip_params'?"
        ],
    ),
    (
        BASE + "limits: {pages: '${SECRET}', time: 5, bytes: 2GB}\n",
        [
            "x.yaml:5:17: limits.pages: expected a whole number, found a value that is not shown",
            "x.yaml:5:36: limits.time: expected a duration such as 500ms, 5s, 10m, 2h or 1d, found 5; did you mean '5s'?",
            "x.yaml:5:46: limits.bytes: expected a size such as 64KiB, 8MiB or 2GiB, or a number of bytes, found '2GB'; did you mean '2GiB'?",
        ],
    ),
    (
        BASE + "filter: {require: [a]}\n",
        ["x.yaml:5:9: filter: expected a list, found a mapping; begin each entry with '- '"],
    ),
    (
        BASE + "seeds2: 1\npages: {}\n",
        [
            "x.yaml:5:1: seeds2: expected a known key, found 'seeds2'; did you mean 'seeds'?",
            "x.yaml:6:1: pages: expected each key once, found 'pages' again; the first is in line 3",
        ],
    ),
    (BASE + "notify: [{a: .inf}]\n", ["x.yaml:5:9: notify: expected numbers of at most 64 bits, found a list"]),
    (
        BASE + "store:\n  - jsonl: {path: a, write: merge, meta: [_urls]}\n",
        [
            "x.yaml:6:43: store.0.jsonl.meta.0: expected _run, _url, _fetched_at, _type or _noindex, found '_urls'; did you mean '_url'?"
        ],
    ),
    (
        BASE + "vars: {a: '${b}', b: '${a}'}\nlimits: {pages: '${a}'}\n",
        ["x.yaml:5:11: vars.a: expected vars without a circle, found a -> b -> a"],
    ),
    (
        BASE + "limits: {pages: '${NOPE}'}\n",
        [
            "x.yaml:5:17: limits.pages: expected a value for ${NOPE}, found none in vars or the environment; set it, or write ${NOPE:-default}"
        ],
    ),
    (
        BASE + "vars: {site: a}\nlimits: {pages: '${sit}'}\n",
        [
            "x.yaml:6:17: limits.pages: expected a value for ${sit}, found none in vars or the environment; did you mean ${site}?"
        ],
    ),
    (
        BASE + "limits: {pages: '${a'}\n",
        ["x.yaml:5:17: limits.pages: expected '}' after '${a'; for a literal ${ write $${"],
    ),
    (
        BASE + "fetch: {hosts: {'${H}': {delay: 1s}}}\n",
        ["x.yaml:5:17: fetch.hosts.${H}: expected a key without substitution: ${...} works in values only"],
    ),
    (BASE + "vars: {a: [1]}\n", ["x.yaml:5:11: vars.a: expected text, found a list"]),
    (
        BASE + "vars: {1a: b}\n",
        [
            "x.yaml:5:8: vars.1a: expected a name of letters, digits and '_' that does not start with a digit, found '1a'"
        ],
    ),
    (
        BASE + "extends: nowhere.yaml\n",
        ["x.yaml:5:10: extends: expected a file that can be read, found 'nowhere.yaml': No such file or directory"],
    ),
    (
        BASE + "extends: x.yaml\n",
        ["x.yaml:5:10: extends: expected a file that is not extended yet, found 'x.yaml' again"],
    ),
    (
        BASE + "tests: [{name: a}]\n",
        [
            "x.yaml:5:9: tests.0.fixture: expected this key, found nothing",
            "x.yaml:5:9: tests.0.url: expected this key, found nothing",
        ],
    ),
    (BASE + "plugins: [{a: 1, b: 2}]\n", ["x.yaml:5:11: plugins.0: expected one component name, found a and b"]),
    (
        "name: x y\nseeds: [ftp://a]\nfetch: {timout: 5s, concurrency: many}\npages:\n  p: {follow: [{css: a, page: zz}], items: [{fields: {t: {type: int}}}]}\nstore: [{}]\n",
        [
            "x.yaml:1:7: name: expected a name of at most 100 letters, digits, '.', '_' and '-', found 'x y'",
            "x.yaml:2:9: seeds.0: expected an http or https URL, found 'ftp://a'",
            "x.yaml:3:9: fetch.timout: expected a known key, found 'timout'; did you mean 'timeout'?",
            "x.yaml:3:34: fetch.concurrency: expected a whole number, found 'many'",
            "x.yaml:5:31: pages.p.follow.0.page: expected the name of a page rule, found 'zz'; there are: p",
            "x.yaml:5:58: pages.p.items.0.fields.t: expected one of css, xpath, json, jsonld, microdata, opengraph, meta, value, carry, url, first_of, join or fields, found a mapping",
            "x.yaml:6:9: store.0: expected one component name, found an empty mapping",
        ],
    ),
]


@pytest.mark.parametrize(("text", "messages"), MISTAKES)
def test_a_mistake_is_told_with_its_place(
    text: str, messages: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load("x.yaml", environ={"SECRET": "hunter2"})
    assert [str(problem) for problem in caught.value.problems] == messages
    assert caught.value.exit_code == 2


def test_no_message_speaks_pydantic_or_tells_a_secret() -> None:
    for _, messages in MISTAKES:
        for message in messages:
            assert "Input should" not in message
            assert "hunter2" not in message
            assert "u:p" not in message


def test_the_table_is_long_enough_to_mean_something() -> None:
    assert len(MISTAKES) >= 40
