//! Thumbnails and format conversion of JPEG and PNG pictures.

mod picture;

/// What the plugin can do.
#[umbel::tasks(package = "example:images@0.1.0")]
mod tasks {
    use image::{ImageDecoder, ImageFormat};

    use crate::picture;

    /// What JPEG encoders commonly use for thumbnails.
    const QUALITY: u8 = 80;

    /// The formats that are read and written.
    #[derive(umbel::Type)]
    pub enum Format {
        Jpeg,
        Png,
    }

    /// What is known of a picture without decoding all of it.
    #[derive(umbel::Type)]
    pub struct Facts {
        pub format: Format,
        /// In pixels, as the file stores it.
        pub width: u32,
        /// In pixels, as the file stores it.
        pub height: u32,
        /// Colour model and depth, for example `rgb8`.
        pub color: String,
    }

    /// Scales a picture down to this width, its shape kept, upright even if the camera was not.
    /// A JPEG stays a JPEG (quality 1 to 100, 80 if none is given), a PNG stays a PNG. A picture
    /// that is narrow enough keeps its size.
    pub fn make_thumb(image: &[u8], width: u32, quality: Option<u8>) -> Result<Vec<u8>, String> {
        if width == 0 {
            return Err("width must be at least 1".to_string());
        }
        let quality = quality.unwrap_or(QUALITY);
        if !(1..=100).contains(&quality) {
            return Err(format!("quality must be from 1 to 100, not {quality}"));
        }
        let (picture, format) = picture::read(image)?;
        picture::write(&picture::narrow(picture, width), format, quality)
    }

    /// Writes a picture in another format, upright even if the camera was not.
    pub fn convert(image: &[u8], format: Format) -> Result<Vec<u8>, String> {
        let (picture, _) = picture::read(image)?;
        let format = match format {
            Format::Jpeg => ImageFormat::Jpeg,
            Format::Png => ImageFormat::Png,
        };
        // Higher than for a thumbnail: the result may be edited further.
        picture::write(&picture, format, 90)
    }

    /// Tells format, size and colour model of a picture.
    pub fn info(image: &[u8]) -> Result<Facts, String> {
        let (decoder, format) = picture::open(image)?;
        let (width, height) = decoder.dimensions();
        let format = if format == ImageFormat::Png { Format::Png } else { Format::Jpeg };
        let color = format!("{:?}", decoder.color_type()).to_lowercase();
        Ok(Facts { format, width, height, color })
    }
}
