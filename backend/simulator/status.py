"""What a running simulator says of itself: its ready line and `/simulator/status`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Status:
    """Addresses, market and demo credentials of one simulator.

    Attributes:
        http: Address of the HTTP port.
        https: Address of the HTTPS port.
        schwab: Base address of Schwab's services, for programs that can be told one.
        world: generated or recorded.
        origin: What rows from here carry: simulator or recorded.
        now: Market time, ISO, UTC.
        speed: Market seconds a wall second.
        held: Whether the market stands until somebody streams quotes.
        seed: Of the generated world.
        ca_file: Certificate of the local authority.
        ca_bundle: The usual roots and that certificate.
        app_key: Client id of the demo app.
        app_secret: Its secret.
        callback_url: Its registered callback.
        user: Who can sign in at its login page: the demo user.
        password: Theirs.
        streamer: Address of the streamer's WebSocket.
        admin_token: For the header `X-Simulator-Admin`, which lets a program ask for faults, move
            the clock, or sign in without the pages; another one in each process.
        proxy: Address of the CONNECT listener; empty without one.
        polygon: Base address of Polygon's REST, for programs that can be told one.
        polygon_key: API key of the largest plan.
        s3: Address of Polygon's flat files, path style.
        s3_bucket: Their bucket.
        s3_access_key: Of the largest plan.
        s3_secret_key: Its secret.
    """

    http: str
    https: str
    schwab: str
    world: str
    origin: str
    now: str
    speed: float
    held: bool
    seed: int
    ca_file: str
    ca_bundle: str
    app_key: str
    app_secret: str
    callback_url: str
    user: str
    password: str
    streamer: str
    admin_token: str
    proxy: str
    polygon: str
    polygon_key: str
    s3: str
    s3_bucket: str
    s3_access_key: str
    s3_secret_key: str
