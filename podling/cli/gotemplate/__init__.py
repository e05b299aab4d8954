"""Go's text/template, for `--format`: the language that the users' scripts are written in.

    text ──► lexer ──► parser ──► nodes ──► evaluator ──► output
                                    ▲          │
              types and values ─────┴──────────┤
              functions ───────────────────────┤
              formatting (fmt's %v and Printf) ─┘

Values are typed as in Go: what a nil slice prints, which fields exist, whether two things compare. A template sees the
declared fields and methods of a value and nothing else: no Python attribute can be reached. The package is loaded only
where --format has a template.
"""
