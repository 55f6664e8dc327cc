# SPDX-License-Identifier: Apache-2.0
import pytest
from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_package_share_directory,
    get_packages_with_prefixes,
)


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Return (install prefix, source tree), each with a package."""
    prefix, source = tmp_path / "prefix", tmp_path / "src"
    for folder in (prefix / "share" / "installed", source / "in_source", source / "installed"):
        folder.mkdir(parents=True)
        (folder / "package.xml").write_text("<package/>")
    (source / "no_package").mkdir()
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(prefix))
    monkeypatch.delenv("EMBEDDED_ROS2_SHARE", raising=False)
    return prefix, source


def test_an_installed_package_is_found(places):
    prefix, _ = places
    assert get_package_share_directory("installed") == str(prefix / "share" / "installed")
    assert get_package_prefix("installed") == str(prefix)


def test_a_source_tree_and_a_source_package_are_found_and_go_first(places, monkeypatch):
    _, source = places
    monkeypatch.setenv("EMBEDDED_ROS2_SHARE", str(source))
    assert get_package_share_directory("in_source") == str(source / "in_source")
    assert get_package_share_directory("installed") == str(source / "installed")
    assert {"in_source", "installed"} <= set(get_packages_with_prefixes())
    monkeypatch.setenv("EMBEDDED_ROS2_SHARE", str(source / "in_source"))
    assert get_package_share_directory("in_source") == str(source / "in_source")


def test_a_folder_without_package_xml_is_no_package(places, monkeypatch):
    _, source = places
    monkeypatch.setenv("EMBEDDED_ROS2_SHARE", str(source))
    with pytest.raises(PackageNotFoundError, match="no_package"):
        get_package_share_directory("no_package")


@pytest.mark.parametrize("name", ["", "a/b", ".."])
def test_an_invalid_name_is_refused(name):
    with pytest.raises(ValueError, match="package name"):
        get_package_share_directory(name)
