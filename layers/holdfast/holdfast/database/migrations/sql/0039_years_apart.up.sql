-- Bounds, news and erasures that reach years back, or come years later.

-- As before; an instant before 1970 is before every id.
CREATE OR REPLACE FUNCTION tenancy.uuid_v7_floor(p_at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN p_at < '1970-01-01 00:00:00+00' THEN '00000000-0000-0000-0000-000000000000'::uuid
                ELSE rpad(lpad(to_hex(floor(extract(epoch FROM p_at) * 1000)::bigint), 12, '0'), 32, '0')::uuid END
$$;
