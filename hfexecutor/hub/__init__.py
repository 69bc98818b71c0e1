"""Everything that talks to a Hugging Face Hub; the rest of the client does no HTTP of its own.

``client.HubClient`` is the one thing the pool holds. Around it, each in a module of its own: what
the Hub answers (``models``), what its refusals mean (``failures``), when to ask again (``retry``),
how fast to ask (``ratelimit``), how a job is started (``launch``, ``limits``), followed (``logs``),
spoken to (``doors``) and known as ours (``claims``), what a flavor offers (``hardware``), which
tokens are shown (``credentials``) and where (``hosts``), and where endpoint and token come from
(``settings``).
"""
