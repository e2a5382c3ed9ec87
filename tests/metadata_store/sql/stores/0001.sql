BEGIN TRANSACTION;
CREATE TABLE metanas_architecture (
	id INTEGER NOT NULL, 
	"key" TEXT NOT NULL, 
	space_id INTEGER NOT NULL, 
	choices TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE ("key"), 
	FOREIGN KEY(space_id) REFERENCES metanas_space (id)
);
INSERT INTO "metanas_architecture" VALUES(1,'e3e02e3df4e64a1ffe9d5558978da24c',1,'{"number": 0, "op": "conv"}');
INSERT INTO "metanas_architecture" VALUES(2,'5a485c3213b46fd905fb4ac3ebcd48f9',1,'{"number": 1, "op": "conv"}');
CREATE TABLE metanas_grid (
	id INTEGER NOT NULL, 
	"key" TEXT NOT NULL, 
	epochs BLOB NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE ("key")
);
INSERT INTO "metanas_grid" VALUES(1,'b30a3c159d7e8193559a42a84f1fcae1',X'010000000200000003000000');
CREATE TABLE metanas_metric (
	id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "metanas_metric" VALUES(1,'val_accuracy');
CREATE TABLE metanas_revision (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT metanas_revision_pkc PRIMARY KEY (version_num)
);
INSERT INTO "metanas_revision" VALUES('0001');
CREATE TABLE metanas_source (
	id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "metanas_source" VALUES(1,'tests');
CREATE TABLE metanas_space (
	id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "metanas_space" VALUES(1,'cells');
CREATE TABLE metanas_task (
	id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	data TEXT NOT NULL, 
	n_samples BIGINT NOT NULL, 
	n_classes BIGINT, 
	input_shape TEXT NOT NULL, 
	dcn DOUBLE, 
	features TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "metanas_task" VALUES(1,'flowers','image_folder','/data/flowers',80,4,'[3, 8, 8]',0.25,'{"n": 80.0}');
INSERT INTO "metanas_task" VALUES(2,'empty','table','',0,NULL,'[]',NULL,'{}');
CREATE TABLE metanas_trial (
	id INTEGER NOT NULL, 
	task_id INTEGER NOT NULL, 
	architecture_id INTEGER NOT NULL, 
	seed INTEGER NOT NULL, 
	source_id INTEGER NOT NULL, 
	space_id INTEGER NOT NULL, 
	metric_id INTEGER NOT NULL, 
	state TEXT NOT NULL, 
	seconds DOUBLE, 
	grid_id INTEGER NOT NULL, 
	n_points INTEGER NOT NULL, 
	curve BLOB NOT NULL, 
	extras TEXT NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT metanas_trial_identity UNIQUE (task_id, architecture_id, seed, source_id), 
	FOREIGN KEY(task_id) REFERENCES metanas_task (id), 
	FOREIGN KEY(architecture_id) REFERENCES metanas_architecture (id), 
	FOREIGN KEY(source_id) REFERENCES metanas_source (id), 
	FOREIGN KEY(space_id) REFERENCES metanas_space (id), 
	FOREIGN KEY(metric_id) REFERENCES metanas_metric (id), 
	FOREIGN KEY(grid_id) REFERENCES metanas_grid (id)
);
INSERT INTO "metanas_trial" VALUES(1,1,1,0,1,1,1,'completed',1.5,1,3,X'0000003F0000803E0000403F','{"params": 1000}');
INSERT INTO "metanas_trial" VALUES(2,1,2,0,1,1,1,'completed',NULL,1,3,X'0000003F0000803E0000403F','{"params": 1000}');
CREATE INDEX metanas_trial_counts ON metanas_trial (space_id, n_points);
COMMIT;
