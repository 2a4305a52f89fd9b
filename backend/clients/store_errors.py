"""What the codes of PostgreSQL and PostgREST mean: one sentence each, the same for both ways."""

from models.errors import Conflict, SchemaMissing, StoreError

MISSING_SCHEMA = frozenset({"42P01", "3F000", "42703", "42883", "PGRST202", "PGRST204", "PGRST205"})
"""A table, column or function is not there. PostgREST before 13 passes 42P01 on, later ones answer
PGRST205 (https://docs.postgrest.org/en/stable/references/errors.html)."""

TOO_MUCH = frozenset({"57014", "413"})
"""A statement ran into its time limit, or a body is too long: half of it may pass."""

LOST_RACE = frozenset({"40001", "40P01"})
"""Two writers met; the whole transaction may be tried again."""

_LOST = "the connection to the database was lost: run again, what is stored is not written twice"

_WORDS = {
    "23502": "a row lacks a value that its table demands ({said})",
    "23514": "a row breaks a rule of its table ({said})",
    "23503": "a row points to a row that is not there ({said})",
    "25006": "the database is read-only: a hosted project becomes so when its disk is full",
    "28000": "the database refuses this user: check the user name in SUPABASE_DB_URL",
    "28P01": "the database refuses this password: check it in SUPABASE_DB_URL",
    "3D000": "the database does not exist: check its name in SUPABASE_DB_URL",
    "40001": "other writers were always faster: try again",
    "40P01": "other writers were always faster: try again",
    "42501": "the role may not do this ({said}): use the service key or the owner's URL",
    "53100": "the database's disk is full: make room and run again",
    "53300": "the database has no connection left: close other programs, or use the pooler's URL",
    "57014": "the database gave the statement up after its time limit",
    "413": "the service refuses a request of this size",
    "PGRST301": "the service refuses the key: check SUPABASE_KEY",
    "PGRST302": "the service demands a key: check SUPABASE_KEY",
    "PGRST303": "the service refuses the key, it may have expired: check SUPABASE_KEY",
    "PGRST106": "the service does not serve the schema public: add it to its exposed schemas",
}


def store_error(code: str, said: str, *, newest_migration: str) -> StoreError:
    """Return the error that a code means.

    Args:
        code: SQLSTATE, PGRST code or HTTP status.
        said: The server's own words without its detail, which may show rows.
        newest_migration: Version that this program needs.
    """
    said = " ".join(said.split())
    if code in MISSING_SCHEMA:
        return SchemaMissing(
            f"the database lacks a migration ({said}): run `python scripts/migrate.py`",
            migration=newest_migration,
        )
    if code == "23505":
        return Conflict(f"a row with this key exists already ({said})")
    if code.startswith("22"):
        return StoreError(f"the database cannot take a value ({said})")
    if code.startswith(("08", "57P")):
        return StoreError(_LOST)
    words = _WORDS.get(code, "the database refuses: {said}" if said else "the database failed")
    return StoreError(words.format(said=said))
