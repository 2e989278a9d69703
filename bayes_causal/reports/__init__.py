"""How a result is told: tables, sentences, figures, one HTML page.

Everything here reads a run folder and nothing else, so that a report is rebuilt without the data and without refitting.
`content` loads and saves the folder, `tables` and `text` say it in plain text, `figures` draws it, `html` puts it on a page.
"""
