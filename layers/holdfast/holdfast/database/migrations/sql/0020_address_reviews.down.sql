DROP FUNCTION addresses.end_review(uuid, uuid, timestamptz, text, jsonb);
DROP FUNCTION addresses.begin_review(uuid, uuid, timestamptz, text, jsonb);
DROP FUNCTION addresses.take_review_step(uuid, uuid, text, text, jsonb, timestamptz, text);
DROP TABLE addresses.review_steps;
DROP TABLE addresses.reviews;
