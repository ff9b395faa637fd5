//! Thumbnails and format conversion of JPEG and PNG pictures.

mod picture;

use image::{ImageDecoder, ImageFormat};

use exports::example::images::tasks::{Facts, Format, Guest};

wit_bindgen::generate!({ path: "wit" });

struct Images;
export!(Images);

/// What JPEG encoders commonly use for thumbnails.
const QUALITY: u8 = 80;

impl Guest for Images {
    fn make_thumb(image: Vec<u8>, width: u32, quality: Option<u8>) -> Result<Vec<u8>, String> {
        if width == 0 {
            return Err("width must be at least 1".to_string());
        }
        let quality = quality.unwrap_or(QUALITY);
        if !(1..=100).contains(&quality) {
            return Err(format!("quality must be from 1 to 100, not {quality}"));
        }
        let (picture, format) = picture::read(&image)?;
        picture::write(&picture::narrow(picture, width), format, quality)
    }

    fn convert(image: Vec<u8>, format: Format) -> Result<Vec<u8>, String> {
        let (picture, _) = picture::read(&image)?;
        let format = match format {
            Format::Jpeg => ImageFormat::Jpeg,
            Format::Png => ImageFormat::Png,
        };
        // Higher than for a thumbnail: the result may be edited further.
        picture::write(&picture, format, 90)
    }

    fn info(image: Vec<u8>) -> Result<Facts, String> {
        let (decoder, format) = picture::open(&image)?;
        let (width, height) = decoder.dimensions();
        let format = if format == ImageFormat::Png { Format::Png } else { Format::Jpeg };
        let color = format!("{:?}", decoder.color_type()).to_lowercase();
        Ok(Facts { format, width, height, color })
    }
}
