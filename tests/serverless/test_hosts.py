import asyncio

import pytest

from sam3d_bento.errors import BadRequest
from sam3d_bento.serverless.hosts import AllowedHosts, PrivateAddressError, PublicResolver
from tests.support.name_server import Zone

SIGNED = "?X-Signature=s3cr3t%2Fdone+x"

hosts = AllowedHosts(["photos.example.com", "*.s3.example.net", "127.0.0.1", "localhost", "93.184.216.34", "10.0.0.1"])


@pytest.mark.parametrize(
    "address",
    [
        "https://photos.example.com/a%2Fb.jpg" + SIGNED,
        "https://PHOTOS.example.com:8443/a.jpg",
        "https://bucket.s3.example.net/a.jpg",
        "https://deep.bucket.s3.example.net/a.jpg",
        "https://93.184.216.34/a.jpg",
        "http://127.0.0.1:9000/a.jpg",
        "https://localhost/a.jpg",
    ],
)
def test_an_allowed_address_is_kept_as_it_was_sent(address):
    url = hosts.check(address, "image_url")
    assert str(url) == address


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://photos.example.com/a.jpg", "must be an https URL"),
        ("ftp://localhost/a.jpg", "must be an https URL"),
        ("file:///etc/passwd", "is not a URL"),
        ("photos.example.com/a.jpg", "is not a URL"),
        ("https:///a.jpg", "is not a URL"),
        ("https://photos.example.com/a b", "is not a URL"),
        ("https://photos.example.com/a\r\nHost: x", "is not a URL"),
        ("https://photos.example.com/ü", "is not a URL"),
        ("https://photos.example.com:port/", "is not a URL"),
        ("https://[::1/", "is not a URL"),
        ("https://photos.example.com\\@evil.example/", "is not a URL"),
        ("https://user:key@photos.example.com/", "must not carry a user or a password"),
        ("https://user@photos.example.com/", "must not carry a user or a password"),
        ("https://example.com/", "not one of those"),
        ("https://a.photos.example.com/", "not one of those"),
        ("https://photos.example.com.evil.example/", "not one of those"),
        ("https://photos.example.com./", "not one of those"),
        ("https://s3.example.net/", "not one of those"),
        ("https://evils3.example.net/", "not one of those"),
        ("https://127.1/", "not one of those"),
        ("https://2130706433/", "not one of those"),
        ("https://169.254.169.254/", "not one of those"),
        ("https://10.0.0.1/", "no public address"),
    ],
)
def test_any_other_address_is_refused_by_its_field_and_told_to_nobody(address, said):
    with pytest.raises(BadRequest, match=said) as refusal:
        hosts.check(address + SIGNED, "image_url")
    assert "'image_url'" in refusal.value.detail
    assert "s3cr3t" not in refusal.value.detail
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


def test_without_the_setting_no_address_is_taken_and_the_setting_is_named():
    with pytest.raises(
        BadRequest, match="'image_url' is not accepted here, because the setting SAM3D_ALLOWED_HOSTS names no host"
    ):
        AllowedHosts([]).check("https://photos.example.com/a.jpg", "image_url")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "ff02::1",
    ],
)
def test_a_name_never_leads_to_an_address_that_is_not_public(address):
    assert not hosts.permits("photos.example.com", address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1"])
def test_a_name_leads_to_public_addresses(address):
    assert hosts.permits("photos.example.com", address)


@pytest.mark.parametrize(("address", "permitted"), [("127.0.0.1", True), ("::1", True), ("93.184.216.34", False)])
def test_a_loopback_host_stays_on_this_machine(address, permitted):
    assert hosts.permits("localhost", address) is permitted


def resolve(zone, host="photos.example.com"):
    found = asyncio.run(PublicResolver(hosts, zone).resolve(host, 443))
    return [result["host"] for result in found]


def test_only_public_addresses_reach_the_connection():
    assert resolve(Zone("10.0.0.1", "93.184.216.34", "::1")) == ["93.184.216.34"]


def test_a_name_with_private_addresses_alone_is_not_found():
    with pytest.raises(PrivateAddressError):
        resolve(Zone("127.0.0.1", "10.0.0.1"))
