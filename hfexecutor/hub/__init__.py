"""Everything that talks to a Hugging Face Hub; the rest of the client does no HTTP of its own.

``client.HubClient`` is the one thing the pool holds. Around it, each in a module of its own: what
the Hub answers (``models``), what its refusals mean (``failures``), when to ask again (``retry``),
how fast to ask (``ratelimit``), how a job is started (``launch``), followed (``logs``) and spoken
to (``doors``), and where endpoint and token come from (``settings``).
"""
