-- Addresses that somebody has to look at, by a deadline.

DO $$ BEGIN END $$;
