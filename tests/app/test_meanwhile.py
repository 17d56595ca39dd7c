"""Law: what happens while a file is read, written or asked about leads to no wrong image."""

from __future__ import annotations

import pytest

from engine.masks import read_mask
from engine.study import Study
from nca_seg_app import watching
from nca_seg_app.opening import listed
from nca_seg_app.ports import ImageRow
from tests.app.desks import SHAPE, Desk
from tests.fakes import disk, write_image


class TestListing:
    @pytest.mark.parametrize("comes", [True, False])
    def test_an_image_is_opened_under_its_own_name_where_the_list_changed(
        self, desk: Desk, comes: bool
    ) -> None:
        desk.open("b.png", "c.png", "d.png", "e.png")
        folder = desk.folder / "images"
        if comes:
            write_image(folder / "a.png", SHAPE)
        else:
            (folder / "c.png").unlink()
        session = desk.session
        assert session.study is not None
        rows = listed(session.study)
        session.open_row(2)
        session.take_rows(rows)
        desk.settle()
        assert session.path is not None
        assert session.path.name == "d.png"

    def test_an_image_that_went_while_it_was_read_is_told(self, desk: Desk) -> None:
        desk.open()
        rows = desk.session.images[:2]
        desk.session.open_row(2)
        desk.session.take_rows(rows)
        desk.settle()
        assert desk.session.index == 0
        assert "c.png" in desk.failures[0]

    def test_listing_does_not_lead_to_listing(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.open()
        desk.draw()
        desk.session.save()
        desk.settle()
        desk.session.watching.look()
        desk.settle()
        listings: list[Study] = []

        def counted(study: Study) -> tuple[ImageRow, ...]:
            listings.append(study)
            return listed(study)

        monkeypatch.setattr(watching, "listed", counted)
        # The index comes and goes beside the masks whenever it is read.
        Study.open(desk.folder / "images").images()
        desk.session.watching.look()
        desk.settle()
        assert not listings
        Study.open(desk.folder / "images").save(desk.folder / "images/b.png", disk(SHAPE), None)
        desk.session.watching.look()
        desk.settle()
        assert desk.session.images[1].status == "saved"


class TestTheEnd:
    def test_a_session_goes_on_where_the_end_is_called_off(self, desk: Desk) -> None:
        desk.open()
        desk.draw()
        desk.session.save()
        desk.session.keeping.write_at_end()
        desk.settle()
        desk.draw(30, 40)
        desk.session.save()
        desk.settle()
        assert read_mask(desk.mask_path)[30, 40]
        assert not list((desk.mask_path.parent / "drafts").glob("*.png"))
