DROP TABLE catalog.variants, catalog.products;
