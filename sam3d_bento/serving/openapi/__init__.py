"""Describe the HTTP API as an OpenAPI 3.1 document.

`operations` lists what each route accepts and returns. Everything that is declared elsewhere is derived from there: the
options, the file formats, the errors, the warnings, who needs a key. `document.build` puts the parts together.
"""
