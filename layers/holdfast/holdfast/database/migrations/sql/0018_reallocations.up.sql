-- An order that ships from elsewhere than was decided first, and the addresses it had before.

DO $$ BEGIN END $$;
