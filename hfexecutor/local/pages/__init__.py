"""Pages for people: the jobs of a hub, and each job with its log. Loaded when first asked for.

A page is whole without JavaScript: the views (`jobs_view`, `job_view`, `log_view`) turn records
into what is shown, and the templates that into HTML, escaping all of it. With JavaScript the same
parts come again over a stream of events (`live`) whenever they have changed, and are put in their
places.
"""
