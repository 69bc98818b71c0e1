"""The Hub's buckets: what is in them, the API to them, and the storage of their bytes.

The bytes travel between a client and the storage by Hugging Face's own `hf_xet`. It cuts files into
chunks, packs these into *xorbs*, and reads them again by the Xet protocol, which `cas_api` speaks.
(It also takes a directory of this machine for a server, `local://`; but it locks that, so that only
one process could use a bucket at a time.) What a bucket has beside that is a list of paths, each
with the hash that `hf_xet` gave its bytes.
"""
