-- What is placed on one target is listed by page.

CREATE INDEX placement_target ON placement (target, id);
