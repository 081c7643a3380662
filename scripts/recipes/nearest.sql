-- Prints the clips nearest to the first one. The parts of the dataset need not fit in memory: duckdb < nearest.sql
WITH query AS (SELECT concat FROM 'out/part-*.parquet' WHERE index = 0)
SELECT id, list_cosine_similarity(clip.concat, query.concat) AS cosine
FROM 'out/part-*.parquet' AS clip, query
ORDER BY cosine DESC
LIMIT 6;
