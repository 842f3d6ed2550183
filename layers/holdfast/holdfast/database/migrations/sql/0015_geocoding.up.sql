-- Where postal codes and addresses are: reference data, what a geocoder answered, and what nobody could find.

CREATE SCHEMA addresses;
GRANT USAGE ON SCHEMA addresses TO holdfast_app, holdfast_system;

-- Where postal codes are. Not a tenant's data: a code lies where it lies, for every shop. Rows come by import alone.
CREATE TABLE addresses.geocode_reference (
    country text NOT NULL,
    postal_code text NOT NULL, -- as addresses/postal_code.py writes it: no spaces, no hyphens, no lower case
    latitude double precision NOT NULL,
    longitude double precision NOT NULL,
    quality text NOT NULL,
    admin_area_1 text,
    data_source text NOT NULL,
    dataset_version text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    -- named query: reference by postal code
    CONSTRAINT geocode_reference_pkey PRIMARY KEY (country, postal_code),
    CONSTRAINT geocode_reference_country_form CHECK (country ~ '^[A-Z]{2}$'),
    CONSTRAINT geocode_reference_postal_code_form CHECK (postal_code ~ '^[0-9A-Z]{1,16}$'),
    CONSTRAINT geocode_reference_on_the_globe CHECK (latitude BETWEEN -90 AND 90 AND longitude BETWEEN -180 AND 180),
    CONSTRAINT geocode_reference_quality CHECK (quality IN ('rooftop', 'range_interpolated', 'centroid', 'approximate'))
);
GRANT SELECT ON addresses.geocode_reference TO holdfast_app, holdfast_system;
GRANT INSERT, UPDATE ON addresses.geocode_reference TO holdfast_system;

-- An import's rows, beside the live ones until all of them are there. What a crash left behind goes by its age.
CREATE TABLE addresses.geocode_import_staging (
    import_id uuid NOT NULL,
    line integer NOT NULL,
    country text NOT NULL,
    postal_code text NOT NULL,
    latitude double precision NOT NULL,
    longitude double precision NOT NULL,
    quality text NOT NULL,
    admin_area_1 text,
    data_source text NOT NULL,
    dataset_version text NOT NULL,
    -- named query: staged rows of an import; staged rows past their use (ids are in order of time)
    CONSTRAINT geocode_import_staging_pkey PRIMARY KEY (import_id, line),
    CONSTRAINT geocode_import_staging_quality CHECK (quality IN ('rooftop', 'range_interpolated', 'centroid', 'approximate'))
);
GRANT SELECT, INSERT, DELETE ON addresses.geocode_import_staging TO holdfast_system;

-- Swaps an import's staged rows in, all in one transaction: a reader sees every code as it was, or every code as it is
-- now. Of a code that was staged twice the later line counts. Rows that say nothing new are left alone, so that the
-- same import again writes nothing. Codes that the import does not name stay.
CREATE FUNCTION addresses.swap_in(p_import_id uuid, p_now timestamptz) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    staged integer;
    codes integer;
    added integer;
    changed integer;
BEGIN
    -- Two imports at once would wait for each other's codes in whatever order they come.
    PERFORM pg_advisory_xact_lock(hashtextextended('addresses.geocode_reference', 0));
    SELECT count(*), count(DISTINCT (s.country, s.postal_code)) INTO staged, codes
      FROM addresses.geocode_import_staging s WHERE s.import_id = p_import_id;
    WITH latest AS (
        SELECT DISTINCT ON (s.country, s.postal_code) s.*
          FROM addresses.geocode_import_staging s
         WHERE s.import_id = p_import_id
         ORDER BY s.country, s.postal_code, s.line DESC
    ), written AS (
        INSERT INTO addresses.geocode_reference AS r (country, postal_code, latitude, longitude, quality, admin_area_1,
                                                      data_source, dataset_version, created_at)
        SELECT country, postal_code, latitude, longitude, quality, admin_area_1, data_source, dataset_version, p_now FROM latest
        ON CONFLICT ON CONSTRAINT geocode_reference_pkey DO UPDATE
           SET latitude = EXCLUDED.latitude, longitude = EXCLUDED.longitude, quality = EXCLUDED.quality,
               admin_area_1 = EXCLUDED.admin_area_1, data_source = EXCLUDED.data_source,
               dataset_version = EXCLUDED.dataset_version, updated_at = p_now
         WHERE (r.latitude, r.longitude, r.quality, r.admin_area_1, r.data_source, r.dataset_version)
               IS DISTINCT FROM (EXCLUDED.latitude, EXCLUDED.longitude, EXCLUDED.quality, EXCLUDED.admin_area_1,
                                 EXCLUDED.data_source, EXCLUDED.dataset_version)
        RETURNING r.updated_at IS NULL AS is_new
    )
    SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) INTO added, changed FROM written;
    DELETE FROM addresses.geocode_import_staging s WHERE s.import_id = p_import_id;
    RETURN jsonb_build_object('repeated', staged - codes, 'added', added, 'changed', changed,
                              'unchanged', codes - added - changed);
END
$$;
GRANT EXECUTE ON FUNCTION addresses.swap_in(uuid, timestamptz) TO holdfast_system;

-- What a geocoder answered, for as long as it is worth something. A tenant's own, for it comes from its customers'
-- addresses; of an address it keeps the postal code and a hash of the rest.
CREATE TABLE addresses.geocode_cache (
    organization_id uuid NOT NULL,
    country text NOT NULL,
    postal_code text NOT NULL,
    address_key text NOT NULL, -- SHA-256 of the whole address as addresses/postal_code.py writes it
    latitude double precision NOT NULL,
    longitude double precision NOT NULL,
    quality text NOT NULL,
    hit_count integer NOT NULL DEFAULT 0, -- a sample: one hit in some is written down, and counts for all of them
    last_accessed_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL, -- its time to live; put off while the entry is often used (addresses/cache_policy.py)
    created_at timestamptz NOT NULL, -- when the geocoder answered
    -- named query: cache by postal code
    CONSTRAINT geocode_cache_pkey PRIMARY KEY (organization_id, country, postal_code, address_key),
    CONSTRAINT geocode_cache_organization_fkey FOREIGN KEY (organization_id) REFERENCES tenancy.organizations (id),
    CONSTRAINT geocode_cache_address_key_form CHECK (address_key ~ '^[0-9a-f]{64}$'),
    CONSTRAINT geocode_cache_on_the_globe CHECK (latitude BETWEEN -90 AND 90 AND longitude BETWEEN -180 AND 180),
    -- What is merely approximate is asked for again, not remembered.
    CONSTRAINT geocode_cache_quality CHECK (quality IN ('rooftop', 'range_interpolated', 'centroid')),
    CONSTRAINT geocode_cache_hit_count_not_negative CHECK (hit_count >= 0)
) WITH (fillfactor = 90);
-- named query: cached places past their time to live, over all tenants
CREATE INDEX geocode_cache_expired ON addresses.geocode_cache (expires_at);
CALL tenancy.isolate('addresses.geocode_cache');
CALL tenancy.open_to_system('addresses.geocode_cache', 'select', 'delete');
GRANT SELECT, INSERT ON addresses.geocode_cache TO holdfast_app, holdfast_system;
GRANT UPDATE (latitude, longitude, quality, hit_count, last_accessed_at, expires_at, created_at) ON addresses.geocode_cache TO holdfast_app;
GRANT DELETE ON addresses.geocode_cache TO holdfast_system;

-- An order whose address was not found, or not well: why, and where the order was taken to go instead. What is done about
-- it, by when, is its review's (0020).
CREATE TABLE addresses.geocode_failures (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    order_id uuid NOT NULL,
    address jsonb NOT NULL, -- as it was looked up: without name and telephone
    reason text NOT NULL,
    fallback text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT geocode_failures_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT geocode_failures_order_fkey FOREIGN KEY (organization_id, order_id) REFERENCES orders.orders (organization_id, id),
    CONSTRAINT geocode_failures_reason CHECK (reason IN (
        'unknown_postal_code', 'not_found', 'approximate_match', 'geocoder_timed_out', 'geocoder_unavailable',
        'geocoder_suspended', 'geocoder_answer_invalid')),
    CONSTRAINT geocode_failures_fallback CHECK (fallback IN ('geocoder', 'postal_area', 'country', 'nowhere'))
);
-- named query: geocode failures of an order, newest first
CREATE INDEX geocode_failures_of_order ON addresses.geocode_failures (organization_id, order_id, id DESC);
CALL tenancy.isolate('addresses.geocode_failures');
GRANT SELECT, INSERT ON addresses.geocode_failures TO holdfast_app, holdfast_system;

-- What a placed order has to say of its address, written with it; nothing for one that the reference data knows.
-- p: {country, postal_code, key, found: {latitude, longitude, quality, expires_at},
--     used: {hits, frequent_hits, expires_at, age_max_seconds}, failure: {id, address, reason, fallback}}
CREATE FUNCTION addresses.note_place(p_organization_id uuid, p_order_id uuid, p_now timestamptz, p jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    found_place jsonb := p -> 'found';
    used jsonb := p -> 'used';
    failure jsonb := p -> 'failure';
BEGIN
    IF found_place IS NOT NULL THEN
        INSERT INTO addresses.geocode_cache AS c (organization_id, country, postal_code, address_key, latitude, longitude, quality,
                                                  last_accessed_at, expires_at, created_at)
        VALUES (p_organization_id, p ->> 'country', p ->> 'postal_code', p ->> 'key', (found_place ->> 'latitude')::double precision,
                (found_place ->> 'longitude')::double precision, found_place ->> 'quality', p_now,
                (found_place ->> 'expires_at')::timestamptz, p_now)
        ON CONFLICT ON CONSTRAINT geocode_cache_pkey DO UPDATE
           SET latitude = EXCLUDED.latitude, longitude = EXCLUDED.longitude, quality = EXCLUDED.quality,
               last_accessed_at = EXCLUDED.last_accessed_at, expires_at = EXCLUDED.expires_at, created_at = EXCLUDED.created_at
         WHERE c.expires_at <= p_now; -- another checkout was as fast: its answer is as good
    END IF;
    IF used IS NOT NULL THEN
        -- Nobody waits for a statistic: an entry that another checkout is counting is left to it.
        UPDATE addresses.geocode_cache c
           SET hit_count = c.hit_count + (used ->> 'hits')::integer,
               last_accessed_at = GREATEST(c.last_accessed_at, p_now),
               expires_at = CASE WHEN c.hit_count + (used ->> 'hits')::integer >= (used ->> 'frequent_hits')::integer
                                 THEN GREATEST(c.expires_at, LEAST((used ->> 'expires_at')::timestamptz,
                                                                   c.created_at + make_interval(secs => (used ->> 'age_max_seconds')::integer)))
                                 ELSE c.expires_at END
          FROM (SELECT l.address_key FROM addresses.geocode_cache l
                 WHERE l.organization_id = p_organization_id AND l.country = p ->> 'country'
                   AND l.postal_code = p ->> 'postal_code' AND l.address_key = p ->> 'key'
                   FOR NO KEY UPDATE SKIP LOCKED) AS locked
         WHERE c.organization_id = p_organization_id AND c.country = p ->> 'country'
           AND c.postal_code = p ->> 'postal_code' AND c.address_key = locked.address_key;
    END IF;
    IF failure IS NOT NULL THEN
        INSERT INTO addresses.geocode_failures (organization_id, id, order_id, address, reason, fallback, created_at)
        VALUES (p_organization_id, (failure ->> 'id')::uuid, p_order_id, failure -> 'address', failure ->> 'reason',
                failure ->> 'fallback', p_now);
    END IF;
END
$$;
GRANT EXECUTE ON FUNCTION addresses.note_place(uuid, uuid, timestamptz, jsonb) TO holdfast_app;
