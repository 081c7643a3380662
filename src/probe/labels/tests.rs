use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Self(folder)
    }

    fn files(&self, labels: &str, test: Option<&str>) -> LabelFiles {
        let path = |name: &str| self.0.path().join(name);
        LabelFiles { labels: path(labels), test: test.map(path), split: 1, ..LabelFiles::default() }
    }

    /// `name class side group` of each video, or the message.
    fn read(&self, files: &LabelFiles) -> Result<Vec<String>, String> {
        let set = read(files)
            .map_err(|error| error.to_string().replace(&format!("{}/", self.0.path().display()), ""))?;
        let line = |video: &LabelledVideo| {
            let side = video.side.map_or("-", |side| if side == Side::Train { "train" } else { "test" });
            let group = video.group.as_deref().unwrap_or("-");
            format!("{} {} {side} {group}", video.names.join("|"), set.classes[video.class as usize])
        };
        Ok(set.videos.iter().map(line).collect())
    }
}

#[test]
fn a_table_has_labels_splits_and_groups() {
    let folder = Folder::new(&[
        (
            "a.csv",
            "\u{feff}id,label,split,scene\nx,open,train,s1\ny,close,test,s2\nz,open,,s1\nx,open,train,s1\n",
        ),
        ("b.tsv", "label\tid\nopen\tx\nclose\ty\n"),
        ("c.csv", "id,label\nx,open\nx,close\n"),
        ("d.csv", "id,label,split\nx,open,val\ny,open,test\n"),
        ("e.csv", "id,class\nx,open\n"),
        ("f.csv", "id,label\nx,\n"),
    ]);
    let mut files = folder.files("a.csv", None);
    files.groups = Some("scene".to_owned());
    assert_eq!(folder.read(&files).unwrap(), ["x open train s1", "y close test s2"]);
    files.groups = Some("room".to_owned());
    assert_eq!(
        folder.read(&files).unwrap_err(),
        "a.csv:1: there is no column `room`; there are id, label, split, scene"
    );
    assert_eq!(folder.read(&folder.files("b.tsv", None)).unwrap(), ["x open - -", "y close - -"]);
    let fault = |name: &str| folder.read(&folder.files(name, None)).unwrap_err();
    assert!(
        fault("c.csv").starts_with("c.csv:3: the video `x` is listed again with another label"),
        "{}",
        fault("c.csv")
    );
    assert!(fault("d.csv").starts_with("d.csv:3: split `test` besides `val`"), "{}", fault("d.csv"));
    assert!(
        fault("e.csv").contains("no column `label`") && fault("f.csv") == "f.csv:2: column `label` is empty"
    );
    assert_eq!(fault("absent.csv"), "absent.csv: no such file");
    let both = folder.read(&folder.files("b.tsv", Some("e.csv")));
    assert!(both.unwrap_err().starts_with("e.csv:1"));
    assert_eq!(
        folder.read(&folder.files("b.tsv", Some("b.tsv"))).unwrap_err().split(": ").next(),
        Some("b.tsv:2")
    );
}

#[test]
fn the_lists_of_kinetics_ucf101_and_hmdb51_are_read_as_they_are() {
    let folder = Folder::new(&[
        ("k.csv", "label,youtube_id,time_start,time_end,split\nwaxing legs,abc,5,15,validate\n"),
        ("trainlist01.txt", "Archery/v_Archery_g08_c01.avi 3\n\nBiking/v_Biking_g08_c01.avi 11\n"),
        ("testlist01.txt", "Archery/v_Archery_g01_c01.avi\r\nBiking/v_Biking_g01_c01.avi\r\n"),
        ("classInd.txt", "3 Archery\n11 Biking\n"),
        ("few.txt", "3 Archery\n"),
        ("hmdb/brush_hair_test_split1.txt", "a.avi 1 \nb.avi 2 \nc.avi 0 \n"),
        ("hmdb/brush_hair_test_split2.txt", "a.avi 2\n"),
        ("hmdb/wave_test_split1.txt", "d.avi 1\ne.avi 2\n"),
    ]);
    assert_eq!(
        folder.read(&folder.files("k.csv", None)).unwrap(),
        ["abc_000005_000015|abc waxing legs test -"]
    );
    let mut files = folder.files("trainlist01.txt", Some("testlist01.txt"));
    files.classes = Some(folder.0.path().join("classInd.txt"));
    let ucf = folder.read(&files).unwrap();
    assert_eq!(ucf.len(), 4);
    assert_eq!(ucf[3], "Biking/v_Biking_g01_c01.avi Biking test -");
    files.classes = Some(folder.0.path().join("few.txt"));
    assert!(
        folder.read(&files).unwrap_err().contains("trainlist01.txt:3: the class `Biking` is not in the list")
    );
    let hmdb = folder.read(&folder.files("hmdb", None)).unwrap();
    let expected = ["a.avi brush_hair train", "b.avi brush_hair test", "d.avi wave train", "e.avi wave test"];
    assert!(hmdb.iter().zip(expected).all(|(found, end)| found.ends_with(&format!("{end} -"))), "{hmdb:?}");
    assert_eq!(hmdb.len(), 4);
    let mut third = folder.files("hmdb", None);
    third.split = 3;
    assert!(folder.read(&third).unwrap_err().contains("_test_split3.txt"));
}

#[test]
fn the_json_of_something_something_is_read_as_it_is() {
    let folder = Folder::new(&[
        (
            "train.json",
            r#"[{"id":"7","label":"holding a cup","template":"Holding [something]","placeholders":["a cup"]}]"#,
        ),
        ("test.json", r#"[{"id":"8"}]"#),
        ("labels.json", r#"{"Holding something":"0"}"#),
    ]);
    let mut files = folder.files("train.json", None);
    files.classes = Some(folder.0.path().join("labels.json"));
    assert_eq!(folder.read(&files).unwrap(), ["7 Holding something - -"]);
    assert!(
        folder.read(&folder.files("test.json", None)).unwrap_err().contains("neither `template` nor `label`")
    );
}

#[test]
fn classes_are_numbered_anew_when_videos_are_left_out() {
    let video = |class: u32, side| LabelledVideo {
        names: vec![class.to_string()],
        class,
        side: Some(side),
        group: None,
    };
    let mut set = LabelSet {
        classes: ["a", "b", "c"].map(str::to_owned).to_vec(),
        videos: vec![
            video(0, Side::Train),
            video(2, Side::Train),
            video(2, Side::Test),
            video(1, Side::Test),
        ],
        has_split: true,
    };
    assert_eq!(set.one_sided(), [(0, Side::Train), (1, Side::Test)]);
    set.retain(|_, video| video.class == 2);
    assert_eq!((set.classes, set.videos[1].class), (vec!["c".to_owned()], 0));
}
