-- Raised whenever what somebody proves who they are with is taken from them or replaced: whoever was still showing the old
-- gets nothing for it. Nobody who is added later under the same name has one of before.
ALTER TABLE person ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
