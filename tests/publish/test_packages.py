"""What would be published: each crate's archive, as scripts/publish.sh has made it."""

import json
import os
import pathlib
import re
import subprocess
import tarfile
import tomllib
import unittest

ARCHIVES = pathlib.Path(os.environ["ARCHIVES"])
MADE_BY_CARGO = {"Cargo.toml", "Cargo.toml.orig", "Cargo.lock", ".cargo_vcs_info.json"}
WANTED = {"README.md", "LICENSE-MIT", "LICENSE-APACHE"}
# Its code, its tests, and what either reads.
EXPECTED = re.compile(
    r"src/.+\.(rs|conf|html|md|yaml)|tests/.+\.(rs|yaml)"
    r"|tests/fixtures/.+\.(bin|json|ndjson|prom|srt|sse|txt|wav)"
)
LARGEST = 512 << 10


def metadata():
    told = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--format-version", "1", "--offline"],
        capture_output=True,
        check=True,
    )
    return json.loads(told.stdout)["packages"]


PACKAGES = metadata()
PUBLISHED = [package for package in PACKAGES if package["publish"] is None]


def archive(package):
    return ARCHIVES / f"{package['name']}-{package['version']}.crate"


def contents(package):
    """The files in its archive, by their names in its folder."""
    with tarfile.open(archive(package)) as tar:
        return {
            member.name.partition("/")[2]: tar.extractfile(member).read()
            for member in tar.getmembers()
            if member.isfile()
        }


class Packages(unittest.TestCase):
    def test_what_is_for_this_repository_alone_is_not_published(self):
        top = pathlib.Path.cwd()
        for package in PACKAGES:
            folder = pathlib.Path(package["manifest_path"]).parent.relative_to(top)
            ours_alone = folder.parts[0] in {"benches", "examples", "tests"}
            with self.subTest(package["name"]):
                self.assertEqual(package["publish"], [] if ours_alone else None)

    def test_each_has_an_archive_and_it_is_small(self):
        for package in PUBLISHED:
            with self.subTest(package["name"]):
                self.assertLess(archive(package).stat().st_size, LARGEST)

    def test_each_has_its_readme_and_both_licences(self):
        for package in PUBLISHED:
            with self.subTest(package["name"]):
                files = contents(package)
                self.assertLessEqual(WANTED, files.keys())
                title = files["README.md"].decode().splitlines()[0]
                self.assertEqual(title, f"# {package['name']}")
                for licence in ("LICENSE-MIT", "LICENSE-APACHE"):
                    self.assertEqual(files[licence], pathlib.Path(licence).read_bytes(), licence)

    def test_nothing_strays_into_a_package(self):
        for package in PUBLISHED:
            with self.subTest(package["name"]):
                names = contents(package).keys() - MADE_BY_CARGO - WANTED
                self.assertEqual([name for name in names if not EXPECTED.fullmatch(name)], [])
                self.assertTrue(any(name.startswith("src/") for name in names))

    def test_each_is_described_in_words_of_its_own(self):
        common = tomllib.loads(pathlib.Path("Cargo.toml").read_text())
        seen = {common["workspace"]["package"]["description"]}
        for package in PUBLISHED:
            with self.subTest(package["name"]):
                description = package["description"]
                self.assertNotIn(description, seen)
                self.assertLessEqual(len(description), 150)
                seen.add(description)

    def test_each_can_be_found_and_says_what_it_needs(self):
        for package in PUBLISHED:
            with self.subTest(package["name"]):
                manifest = tomllib.loads(contents(package)["Cargo.toml"].decode())["package"]
                self.assertIn(len(manifest["keywords"]), range(1, 6))
                self.assertTrue(all(len(word) <= 20 for word in manifest["keywords"]))
                self.assertIn(len(manifest["categories"]), range(1, 6))
                self.assertEqual(manifest["license"], "MIT OR Apache-2.0")
                self.assertEqual(manifest["readme"], "README.md")
                for key in ("repository", "rust-version", "edition"):
                    self.assertTrue(manifest[key], key)

    def test_docs_rs_shows_every_feature_and_says_which_it_is(self):
        for package in PUBLISHED:
            with self.subTest(package["name"]):
                files = contents(package)
                manifest = tomllib.loads(files["Cargo.toml"].decode())["package"]
                docs_rs = manifest["metadata"]["docs"]["rs"]
                self.assertIs(docs_rs["all-features"], True)
                code = [text for name, text in files.items() if re.match(r"src/(?!.*\btests\b)", name)]
                if any(b"#[cfg(feature" in text for text in code):
                    self.assertIn(b"#![cfg_attr(docsrs, feature(doc_cfg))]", files["src/lib.rs"])
                    self.assertEqual(docs_rs["rustdoc-args"], ["--cfg", "docsrs"])

    def test_each_depends_on_the_others_by_this_version(self):
        versions = {package["name"]: package["version"] for package in PUBLISHED}
        for package in PUBLISHED:
            with self.subTest(package["name"]):
                manifest = tomllib.loads(contents(package)["Cargo.toml"].decode())
                for kind in ("dependencies", "dev-dependencies", "build-dependencies"):
                    for key, dependency in manifest.get(kind, {}).items():
                        name = dependency.get("package", key)
                        self.assertNotIn("path", dependency)
                        if name.startswith("jairouter"):
                            self.assertEqual(dependency["version"], versions[name], name)

    def test_what_their_readmes_link_to_is_in_the_repository(self):
        for package in PUBLISHED:
            with self.subTest(package["name"]):
                readme = contents(package)["README.md"].decode()
                self.assertEqual(re.findall(r"\]\((?!https://)[^)]*\)", readme), [])
                ours = re.escape(package["repository"]) + r"/blob/main/([^)#\s]+)"
                for page in re.findall(ours, readme):
                    self.assertTrue(pathlib.Path(page).is_file(), page)


if __name__ == "__main__":
    unittest.main()
